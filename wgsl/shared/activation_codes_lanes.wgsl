// Codes of 32 activations that 8 neighbouring lanes of a subgroup hold, four each; the arithmetic of
// activation_codes.wgsl. With SQUARES, the kernel's squares_at(place) is a lane's part of the fourth component of a head.

#import code_bytes
#import unit_scale

// Stores the lane's values as vector `place` of four; all lanes take part, nothing is stored if not `stored`.
fn store_codes_lanes(x: vec4<f32>, place: u32, stored: bool) {
    let magnitude = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
    var bits = max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w));
#repeat S 3
    bits = max(bits, subgroupShuffleXor(bits, 1u << S));
#end
    let found = unit_scale(bits);
    var scale = found.y;
    let values = select(vec4<f32>(0.0), x, found.x > 0.0);
    var q: vec4<i32>;
    var first: vec4<i32>;
    if params.fine_plane == 0u {
        q = vec4<i32>(round(values * found.x));
        first = q;
    } else {
        scale /= 256.0;
        q = vec4<i32>(round(values * (found.x * 256.0)));
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
#ifdef SQUARES
    var squares = squares_at(place);
#repeat S 3
    squares += subgroupShuffleXor(squares, 1u << S);
#end
#else
    let squares = 0.0;
#endif
    if stored {
        codes[place] = code_bytes(first);
        if (place & 7u) == 0u {
            heads[place / 8u] = vec4<f32>(scale, f32(sum), f32(behind), squares);
        }
    }
}
