// Folds the partials of attention_decode_f16 over f16 V in order of the chunks and normalises.
//
// sequences: as in attention_decode
// partials: of attention_decode_f16
// sinks: one logit per query head (params.sinks = 1), else not read
// y: rows of head_dim_v f32
// grid: a workgroup of 64 invocations per row
// class: Bounded
// twin: crates/turbo-cpu/src/attention/attention_combine_f16.rs

#import attention_job
#import combine_rows
#import exp2_exact
#import float_bits
#import fold
#import grid
#import opaque

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> partials: array<u32>;
@group(0) @binding(2) var<storage, read> sinks: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#params AttentionParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let seen = slots_of(row);
    let d = params.head_dim_v;
    let stride = 4u + d;
    for (var i = t; i < d && seen.y != 0u; i += 64u) {
        var denominator = Frame(0, 0u);
        var e = 0;
        var sum = 0.0;
        for (var slot = seen.x; slot < seen.x + seen.y; slot++) {
            let at = (row * params.slots + slot) * stride;
            let l = partials[at];
            if l == 0u {
                continue;
            }
            let part_e = bitcast<i32>(partials[at + 2u]);
            let top = select(max(e, part_e), part_e, denominator.bound == 0u);
            let kept = opaque(scale_pow2(sum, e - top));
            sum = kept + scale_pow2(bitcast<f32>(partials[at + 4u + i]), part_e - top);
            e = top;
            denominator = fold_denominator(denominator, Frame(bitcast<i32>(partials[at + 1u]), l));
        }
        if params.sinks != 0u {
            denominator = fold_denominator(denominator, sink_of(sinks[row % (params.kv_heads * params.group)]));
        }
        let l = f32(i32(max(denominator.bound, 1u)));
        y[row * d + i] = scale_pow2(sum / l, e - denominator.e + 23);
    }
}
