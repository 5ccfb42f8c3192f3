// Codes of 32 activations: 8 bits, or 16 bits in two planes. The same as turbo_cpu's: scale = max|x| / 127 (/ 256),
// code = round(x / scale). With SQUARES, the kernel's unit_squares(at) is the fourth component of a head, else 0.

#import code_bytes
#import unit_scale

fn sum_of(q: vec4<i32>) -> i32 {
    return q.x + q.y + q.z + q.w;
}

// Stores 32 values as unit `at`.
fn store_codes(x: array<vec4<f32>, 8>, at: u32) {
    var magnitudes = vec4<u32>(0u);
#repeat I 8
    magnitudes = max(magnitudes, bitcast<vec4<u32>>(x[I]) & vec4<u32>(0x7fffffffu));
#end
    let found = unit_scale(max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w)));
    let kept = found.x > 0.0;
    var scale = found.y;
    var sums = array<i32, 2>(0, 0);
    var words: array<u32, 8>;
    if params.fine_plane == 0u {
#repeat I 8
        {
            let q = vec4<i32>(round(select(vec4<f32>(0.0), x[I], kept) * found.x));
            sums[I / 4] += sum_of(q);
            words[I] = code_bytes(q);
        }
#end
    } else {
        var fine: array<u32, 8>;
        scale /= 256.0;
#repeat I 8
        {
            let q = vec4<i32>(round(select(vec4<f32>(0.0), x[I], kept) * (found.x * 256.0)));
            let first = (q + 128) >> vec4<u32>(8u);
            let second = max(q - 256 * first, vec4<i32>(-127));
            sums[I / 4] += sum_of(256 * first + second);
            words[I] = code_bytes(first);
            fine[I] = code_bytes(second);
        }
#end
        let plane = params.fine_plane + at * 2u;
        codes[plane] = vec4<u32>(fine[0], fine[1], fine[2], fine[3]);
        codes[plane + 1u] = vec4<u32>(fine[4], fine[5], fine[6], fine[7]);
    }
    codes[at * 2u] = vec4<u32>(words[0], words[1], words[2], words[3]);
    codes[at * 2u + 1u] = vec4<u32>(words[4], words[5], words[6], words[7]);
#ifdef SQUARES
    let squares = unit_squares(at);
#else
    let squares = 0.0;
#endif
    heads[at] = vec4<f32>(scale, f32(sums[0]), f32(sums[1]), squares);
}
