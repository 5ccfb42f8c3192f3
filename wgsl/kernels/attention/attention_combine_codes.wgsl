// What attention_combine or attention_combine_f16 does, and then ops/quantise: the head as codes for a product.
//
// sequences, partials, sinks: as in attention_combine
// codes, heads: as matmul/matvec reads them, 128 values after 128 (f16 V: head_dim_v, a multiple of 32)
// grid: a workgroup of THREADS (f16 V: 256) invocations per row
// class: Bounded, for the rounding (f16 V: for everything)
// twin: crates/turbo-cpu/src/attention/attention_combine_codes.rs

#import activation_codes_lanes
#import attention_job
#ifdef HALVES
#import combine_f16 CODES=1
#else
#import combine_128
#endif

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> partials: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> sinks: array<f32>;
@group(0) @binding(3) var<storage, read_write> codes: array<u32>;
@group(0) @binding(4) var<storage, read_write> heads: array<vec4<f32>>;
#params AttentionParams

fn store_quad(place: u32, value: vec4<f32>, stored: bool) {
    store_codes_lanes(value, place, stored);
}
