// Codes of 32 activations that 8 neighbouring lanes of a subgroup hold, four each; the arithmetic of
// activation_codes.wgsl.

// Four integers as bytes.
fn code_bytes(q: vec4<i32>) -> u32 {
    let b = bitcast<vec4<u32>>(q) & vec4<u32>(0xffu);
    return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}

// Stores the lane's values as vector `place` of four; all lanes take part, nothing is stored if not `stored`.
fn store_codes_lanes(x: vec4<f32>, place: u32, stored: bool) {
    let magnitude = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
    var bits = max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w));
#repeat S 3
    bits = max(bits, subgroupShuffleXor(bits, 1u << S));
#end
    let largest = bitcast<f32>(bits);
    let finite = bits < 0x7f800000u;
    let kept = finite && largest >= 1e-30;
    let factor = select(0.0, 127.0 / largest, kept);
    var scale = select(0.0, largest / 127.0, kept);
    let values = select(vec4<f32>(0.0), x, kept);
    var q: vec4<i32>;
    var first: vec4<i32>;
    if params.fine_plane == 0u {
        q = vec4<i32>(round(values * factor));
        first = q;
    } else {
        scale /= 256.0;
        q = vec4<i32>(round(values * (factor * 256.0)));
        first = (q + 128) >> vec4<u32>(8u);
        let second = max(q - 256 * first, vec4<i32>(-127));
        q = 256 * first + second;
        if stored {
            codes[params.fine_plane * 4u + place] = code_bytes(second);
        }
    }
    var sum = q.x + q.y + q.z + q.w;
    sum += subgroupShuffleXor(sum, 1u);
    sum += subgroupShuffleXor(sum, 2u);
    let behind = subgroupShuffleXor(sum, 4u);
    if stored {
        codes[place] = code_bytes(first);
        if (place & 7u) == 0u {
            let unknown = bitcast<f32>(select(bitcast<u32>(scale), 0x7fc00000u, !finite));
            heads[place / 8u] = vec4<f32>(unknown, f32(sum), f32(behind), 0.0);
        }
    }
}
