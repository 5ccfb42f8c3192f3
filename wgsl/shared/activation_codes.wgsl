// Codes of 32 activations: 8 bits, or 16 bits in two planes. The same as turbo_cpu's: scale = max|x| / 127 (/ 256),
// code = round(x / scale); blocks below 1e-30 become zeros, a block that is not finite gets the scale nan.

// Four integers as bytes.
fn code_bytes(q: vec4<i32>) -> u32 {
    let b = bitcast<vec4<u32>>(q) & vec4<u32>(0xffu);
    return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}

fn sum_of(q: vec4<i32>) -> i32 {
    return q.x + q.y + q.z + q.w;
}

// Stores 32 values as unit `at`.
fn store_codes(x: array<vec4<f32>, 8>, at: u32) {
    var top = vec4<f32>(0.0);
    var bits = vec4<u32>(0u);
#repeat I 8
    top = max(top, abs(x[I]));
    bits = max(bits, bitcast<vec4<u32>>(x[I]) & vec4<u32>(0x7fffffffu));
#end
    let largest = max(max(top.x, top.y), max(top.z, top.w));
    let finite = max(max(bits.x, bits.y), max(bits.z, bits.w)) < 0x7f800000u;
    let kept = finite && largest >= 1e-30;
    let factor = select(0.0, 127.0 / largest, kept);
    var scale = select(0.0, largest / 127.0, kept);
    var sums = array<i32, 2>(0, 0);
    var words: array<u32, 8>;
    if params.fine_plane == 0u {
#repeat I 8
        {
            let q = vec4<i32>(round(select(vec4<f32>(0.0), x[I], kept) * factor));
            sums[I / 4] += sum_of(q);
            words[I] = code_bytes(q);
        }
#end
    } else {
        var fine: array<u32, 8>;
        scale /= 256.0;
#repeat I 8
        {
            let q = vec4<i32>(round(select(vec4<f32>(0.0), x[I], kept) * (factor * 256.0)));
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
    let unknown = bitcast<f32>(select(bitcast<u32>(scale), 0x7fc00000u, !finite));
    heads[at] = vec4<f32>(unknown, f32(sums[0]), f32(sums[1]), 0.0);
}
