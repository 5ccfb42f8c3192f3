// From the folded sums of a head of 128 values to the head: normalised and rotated back; docs/exact-attention.md,
// section 10. 32 lanes of a subgroup of 32 or more have four values each.
//
// Words: V_TYPE.

#import float_bits
#import normaliser
#import rotate_lanes N=128 LOG_N=7

// f32 nearest 1 / sqrt(128).
const ROOT_128 = 0x1.6a09e6p-4f;

// What levels are shifted by.
#if V_TYPE == 2
const LEVEL_SHIFT = 10;
#endif
#if V_TYPE == 3
const LEVEL_SHIFT = 9;
#endif
#if V_TYPE == 4
const LEVEL_SHIFT = 9;
#endif
#if V_TYPE == 0
const LEVEL_SHIFT = 0;
#endif
#if V_TYPE == 1
const LEVEL_SHIFT = 0;
#endif

// The denominator of query head `row` with its attention sink, if there is one.
fn with_sink(denominator: Frame, row: u32) -> Frame {
    if params.sinks == 0u {
        return denominator;
    }
    return fold_denominator(denominator, sink_of(sinks[row % (params.kv_heads * params.group)]));
}

// `frame` is that of the sums, `scale` the normaliser of the denominator. All lanes take part.
fn head_of_sums(sums: vec4<i32>, frame: Frame, denominator: Frame, scale: vec2<f32>, quad: u32) -> vec4<f32> {
    let value = scale_pow2_4(vec4<f32>(sums) * scale.x, frame.e + i32(scale.y) - LEVEL_SHIFT);
    let kept = select(value, vec4<f32>(0.0), denominator.bound == 0u || frame.bound == 0u);
    let field = max_lanes(max_field4(kept));
    let rotated = rotate_lanes(normalise4(kept, field), quad, SIGNS_2, SIGNS_1);
    return scale_pow2_4(rotated * ROOT_128, i32(field) - 127);
}
