// Codes and scale of the turbo types for a group of 128 values, four in each of 32 lanes; docs/exact-attention.md,
// section 4. The same bits as quantise_turbo, in fewer steps that wait for each other.
//
// Words: POSITIVE levels, LIMITS = POSITIVE - 1.

#import butterfly
#import opaque
#import reduce_lanes
#import signs
#import turbo_levels
#import turbo_scale

struct Quantised {
    codes: vec4<u32>,
    // f16 bits; F16_INFINITY when there is none.
    scale: u32,
}

// The rotated values, sqrt(128) times too large, and the sum of the squares of those before: their shuffles wait
// together.
struct Rotated {
    y: vec4<f32>,
    sum: f32,
}

fn rotate_and_sum(x: vec4<f32>, lane: u32) -> Rotated {
    let square = opaque4(x * x);
    var sum = opaque(opaque(square.x + square.y) + opaque(square.z + square.w));
    var y = butterflies4(flip4(x, SIGNS_1, lane));
#repeat S 5
    {
        let other = subgroupShuffleXor(y, 1u << S);
        sum = opaque(sum + subgroupShuffleXor(sum, 1u << S));
        // The lane with the bit set takes the difference.
        let negative = (lane << (31u - S)) & 0x80000000u;
        y = opaque4(other + bitcast<vec4<f32>>(bitcast<vec4<u32>>(y) ^ vec4<u32>(negative)));
    }
#end
    return Rotated(flip4(y, SIGNS_2, lane), sum);
}

// Quantises normalised values of exponent field `field`.
fn quantise_128(x: vec4<f32>, field: u32, lane: u32, alone: bool) -> Quantised {
    const SIZE = 3;
    let rotated = rotate_and_sum(x, lane);
    let y2 = opaque4(rotated.y * rotated.y);
    // What passing a threshold adds: one to the code, and above that to the sum of squared levels.
    var passed = vec4<u32>(0u);
#repeat K LIMITS
    {
        const step = u32(LEVELS[K + 1][SIZE] * LEVELS[K + 1][SIZE] - LEVELS[K][SIZE] * LEVELS[K][SIZE]) * 16u + 1u;
        let limit = opaque(THRESHOLDS[K][SIZE] * rotated.sum);
        passed += select(vec4<u32>(0u), vec4<u32>(step), y2 > vec4<f32>(limit));
    }
#end
    let above = passed >> vec4<u32>(4u);
    let own = u32(LEVELS[0][SIZE] * LEVELS[0][SIZE]) * 4u + above.x + above.y + above.z + above.w;
    let power = sum_of_lanes(own, alone);
    let negative = bitcast<vec4<u32>>(rotated.y) > vec4<u32>(0x80000000u);
    let flip = select(vec4<u32>(0u), vec4<u32>(2u * POSITIVE - 1u), negative);
    let codes = ((passed & vec4<u32>(15u)) + POSITIVE) ^ flip;
    let scale = turbo_scale(rotated.sum, f32(i32(power)), SHIFT[SIZE] + i32(field) - 127);
    return Quantised(codes, scale);
}
