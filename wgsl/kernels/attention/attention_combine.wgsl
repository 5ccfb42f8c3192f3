// Folds the partials of attention_decode over coded V in order of the chunks, normalises and rotates back.
// docs/exact-attention.md, sections 9 and 10.
//
// sequences: as in attention_decode
// partials: of attention_decode, as vectors
// sinks: one logit per query head (params.sinks = 1), else not read
// y: rows of head_dim_v f32
// grid: a workgroup of THREADS invocations per row
// class: Exact
// twin: crates/turbo-cpu/src/attention/attention_combine.rs

#import attention_job
#ifdef H128
#import combine_128
#else
#import combine_any
#endif

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> partials: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> sinks: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
#params AttentionParams

#ifdef H128
fn store_quad(place: u32, value: vec4<f32>, stored: bool) {
    if stored {
        y[place] = value;
    }
}
#endif
