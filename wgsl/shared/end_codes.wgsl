// The end of a product whose workgroup has 32 rows of TOKENS tokens: its results become codes (activation_codes.wgsl) at
// once. Invocation 32 n + i has value i of token n.

#import code_bytes
#import unit_scale

var<workgroup> end_bits: array<u32, TOKENS * 32>;
var<workgroup> end_squares: array<f32, TOKENS * 32>;
var<workgroup> end_words: array<i32, TOKENS * 32>;

// All invocations call it, first of all with what they have: `value` is rounded, `square` goes to the sum of squares.
// `at` is the place of the token's unit in heads; nothing is stored if not `stored`.
fn end_codes(value: f32, square: f32, at: u32, stored: bool, t: u32) {
    if t < TOKENS * 32u {
        end_bits[t] = bitcast<u32>(value) & 0x7fffffffu;
        end_squares[t] = square;
    }
    workgroupBarrier();
    let first = t & 0xffffffe0u;
    var scale = vec2<f32>(0.0);
    if t < TOKENS * 32u {
        var bits = 0u;
#repeat I 32
        bits = max(bits, end_bits[first + I]);
#end
        scale = unit_scale(bits);
        let kept = select(0.0, value, scale.x > 0.0);
        if params.next_fine_plane == 0u {
            end_words[t] = i32(round(kept * scale.x));
        } else {
            let q = i32(round(kept * (scale.x * 256.0)));
            let high = (q + 128) >> 8u;
            end_words[t] = 256 * high + max(q - 256 * high, -127);
        }
    }
    workgroupBarrier();
    if t >= TOKENS * 32u || !stored {
        return;
    }
    let i = t % 32u;
    if i < 8u {
        let from_word = first + 4u * i;
        let q = vec4<i32>(end_words[from_word], end_words[from_word + 1u], end_words[from_word + 2u], end_words[from_word + 3u]);
        if params.next_fine_plane == 0u {
            next_codes[at * 8u + i] = code_bytes(q);
        } else {
            // The finer code is from -127 to 128 - 1, so this finds both again.
            let high = (q + 128) >> vec4<u32>(8u);
            next_codes[at * 8u + i] = code_bytes(high);
            next_codes[params.next_fine_plane * 4u + at * 8u + i] = code_bytes(q - 256 * high);
        }
    } else if i == 8u {
        var sums = array<i32, 2>(0, 0);
        var squares = 0.0;
#repeat I 32
        sums[I / 16] += end_words[first + I];
        squares += end_squares[first + I];
#end
        let fine = select(1.0, 1.0 / 256.0, params.next_fine_plane != 0u);
        next_heads[at] = vec4<f32>(scale.y * fine, f32(sums[0]), f32(sums[1]), squares);
    }
}
