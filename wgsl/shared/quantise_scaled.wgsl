// Codes and scales of q8_0 and q4_0; docs/exact-attention.md, section 4.
//
// Words: those of tile; Q8 for q8_0, else q4_0.

#import f16_bits
#import group_sizes
#import opaque
#import reduce_group reduce_group=max_scale_block ELEMENT=u32 COMBINE=max STAGES=1
#import reduce_group reduce_group=min_scale_block ELEMENT=u32 COMBINE=min STAGES=1
#import rotate_tile

struct Quantised {
    codes: Codes,
    // f16 bits of the scale of every block's scale block; F16_INFINITY when there is none.
    scales: Blocks,
}

// Whether 127 times the value of f16 bits `h` reach `largest` * 2^k.
fn covers(h: u32, largest: f32, k: i32) -> bool {
    let parts = f16_parts(h);
    return f32(127 * parts.x) >= scale_pow2(largest, k - parts.y);
}

// Bits of the smallest f16 that covers `largest` * 2^k, walked to from a guess.
fn covering_scale(largest: f32, k: i32) -> u32 {
    var h = min(f16_or_infinity(scale_pow2(largest / 127.0, k)) & 0x7fffu, F16_INFINITY - 1u);
    while h > 0u && covers(h - 1u, largest, k) {
        h -= 1u;
    }
    while h < F16_INFINITY && !covers(h, largest, k) {
        h += 1u;
    }
    return h;
}

// The integers nearest |y| * 2^k / value of f16 bits `scale`, ties to the larger, at most `most`.
fn nearest4(y: vec4<f32>, scale: u32, k: i32, most: u32) -> vec4<u32> {
    let parts = f16_parts(scale);
    let twice = vec4<u32>(scale_pow2_4(abs(y), k - parts.y + 1));
    let level = (twice / vec4<u32>(u32(max(parts.x, 1))) + vec4<u32>(1u)) >> vec4<u32>(1u);
    return select(vec4<u32>(0u), min(level, vec4<u32>(most)), vec4<bool>(parts.x != 0));
}

// Quantises normalised values, which are used up.
fn quantise(tile: ptr<function, Tile>, fields: Blocks, sizes: Blocks, lane: u32) -> Quantised {
    var out: Quantised;
    rotate_tile(tile, lane, sizes, SIGNS_1, SIGNS_2);
    var own_largest: Blocks;
#repeat V Q
    {
        let y = opaque4((*tile)[V] * INV_SQRT[size_index(sizes[V / 4])]);
        (*tile)[V] = y;
        let a = bitcast<vec4<u32>>(abs(y));
        own_largest[V / 4] = max(own_largest[V / 4], max(max(a.x, a.y), max(a.z, a.w)));
    }
#end
    var largest = max_scale_block(own_largest, sizes);
    var exponents = fields;
#ifdef Q8
    for (var b = 0u; b < BLOCKS; b += 1u) {
        out.scales[b] = covering_scale(bitcast<f32>(largest[b]), i32(exponents[b]) - 127);
    }
#repeat V Q
    {
        let y = (*tile)[V];
        let scale = min(out.scales[V / 4], F16_INFINITY - 1u);
        let level = nearest4(y, scale, i32(fields[V / 4]) - 127, 127u);
        let negative = y < vec4<f32>(0.0);
        out.codes[V] = select(level, vec4<u32>(0u) - level, negative) & vec4<u32>(255u);
    }
#end
#else
    // The first value of largest magnitude: its place times two, plus one if it is positive.
    var own_first: Blocks;
#repeat B BLOCKS
    own_first[B] = 0xffffffffu;
#end
#repeat V Q
    {
        let y = (*tile)[V];
        let place = vec4<u32>((lane * Q + V) * 8u) + vec4<u32>(0u, 2u, 4u, 6u);
        let marked = place + select(vec4<u32>(0u), vec4<u32>(1u), y > vec4<f32>(0.0));
        let at = bitcast<vec4<u32>>(abs(y)) == vec4<u32>(largest[V / 4]);
        let found = select(vec4<u32>(0xffffffffu), marked, at);
        own_first[V / 4] = min(own_first[V / 4], min(min(found.x, found.y), min(found.z, found.w)));
    }
#end
    let first = min_scale_block(own_first, sizes);
#repeat B BLOCKS
    {
        let scale = f16_or_infinity(scale_pow2(bitcast<f32>(largest[B]), i32(fields[B]) - 130));
        // The value of largest magnitude gets level -8: a positive one negates the scale.
        let negate = (first[B] & 1u) != 0u && scale != 0u;
        out.scales[B] = scale | select(0u, 0x8000u, negate);
#repeat R PER_BLOCK
        {
            let y = (*tile)[B * PER_BLOCK + R];
            let level = nearest4(y, min(scale, F16_INFINITY - 1u), i32(fields[B]) - 127, 8u);
            let negative = (y < vec4<f32>(0.0)) != vec4<bool>(negate);
            out.codes[B * PER_BLOCK + R] = select(min(level, vec4<u32>(7u)) + 8u, 8u - level, negative);
        }
#end
    }
#end
#endif
    return out;
}
