// Folds the partials of attention_decode_f16 over f16 V and normalises.
//
// sequences: as in attention_decode
// partials: of attention_decode_f16, as vectors
// sinks: one logit per query head (params.sinks = 1), else not read
// y: rows of head_dim_v f32
// grid: a workgroup of 256 invocations per row
// class: Bounded, but the same for every split and batch on one device
// twin: crates/turbo-cpu/src/attention/attention_combine_f16.rs

#import attention_job
#import combine_f16

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> partials: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> sinks: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
#params AttentionParams

fn store_quad(place: u32, value: vec4<f32>, stored: bool) {
    if stored {
        y[place] = value;
    }
}
