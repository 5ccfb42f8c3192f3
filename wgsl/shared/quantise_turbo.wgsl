// Codes and scales of the turbo types; docs/exact-attention.md, section 4.
//
// Words: those of tile; POSITIVE levels, LIMITS = POSITIVE - 1.

#import group_sizes
#import opaque
#import reduce_group reduce_group=sum_f32_group ELEMENT=f32 COMBINE=sum_f32 STAGES=3
#import reduce_group reduce_group=sum_u32_group ELEMENT=u32 COMBINE=sum_u32 STAGES=3
#import rotate_tile
#import turbo_levels
#import turbo_scale

struct Quantised {
    codes: Codes,
    // f16 bits of the scale of every block's group; F16_INFINITY when there is none.
    scales: Blocks,
}

fn sum_f32(a: f32, b: f32) -> f32 {
    return opaque(a + b);
}

fn sum_u32(a: u32, b: u32) -> u32 {
    return a + b;
}

// Sum of the squares of a lane's part of every block.
fn square_sums(tile: ptr<function, Tile>) -> array<f32, BLOCKS> {
    var sums: array<f32, BLOCKS>;
    var squares: array<f32, Q>;
#repeat V Q
    {
        let square = opaque4((*tile)[V] * (*tile)[V]);
        squares[V] = sum_f32(sum_f32(square.x, square.y), sum_f32(square.z, square.w));
    }
#end
#repeat B BLOCKS
#if LANES == 32
    sums[B] = squares[B];
#else
    sums[B] = sum_f32(sum_f32(squares[4 * B], squares[4 * B + 1]), sum_f32(squares[4 * B + 2], squares[4 * B + 3]));
#endif
#end
    return sums;
}

// Quantises normalised values, which are used up.
fn quantise(tile: ptr<function, Tile>, fields: Blocks, sizes: Blocks, lane: u32) -> Quantised {
    var out: Quantised;
    var sums = sum_f32_group(square_sums(tile), sizes);
    rotate_tile(tile, lane, sizes, SIGNS_1, SIGNS_2);
    var powers: Blocks;
#repeat B BLOCKS
    {
        let size = size_index(sizes[B]);
        var limits: array<f32, LIMITS>;
        // What passing a threshold adds: one to the code, and above that to the sum of squared levels.
        var steps: array<u32, LIMITS>;
#repeat K LIMITS
        limits[K] = opaque(THRESHOLDS[K][size] * sums[B]);
        steps[K] = u32(LEVELS[K + 1][size] * LEVELS[K + 1][size] - LEVELS[K][size] * LEVELS[K][size]) * 16u + 1u;
#end
        var power = vec4<u32>(u32(LEVELS[0][size] * LEVELS[0][size]) * PER_BLOCK);
#repeat R PER_BLOCK
        {
            let y = (*tile)[B * PER_BLOCK + R];
            let y2 = opaque4(y * y);
            var passed = vec4<u32>(0u);
#repeat K LIMITS
            passed += select(vec4<u32>(0u), vec4<u32>(steps[K]), y2 > vec4<f32>(limits[K]));
#end
            power += passed >> vec4<u32>(4u);
            let negative = bitcast<vec4<u32>>(y) > vec4<u32>(0x80000000u);
            let flip = select(vec4<u32>(0u), vec4<u32>(2u * POSITIVE - 1u), negative);
            out.codes[B * PER_BLOCK + R] = ((passed & vec4<u32>(15u)) + POSITIVE) ^ flip;
        }
#end
        powers[B] = power.x + power.y + power.z + power.w;
    }
#end
    let total = sum_u32_group(powers, sizes);
    powers = total;
    var exponents = fields;
    var each = sizes;
    for (var b = 0u; b < BLOCKS; b += 1u) {
        let k = SHIFT[size_index(each[b])] + i32(exponents[b]) - 127;
        out.scales[b] = turbo_scale(sums[b], f32(i32(powers[b])), k);
    }
    return out;
}
