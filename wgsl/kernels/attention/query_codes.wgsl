// Query heads for attention over coded K: rotated, rounded to integers, with a factor per scale block of K.
// docs/exact-attention.md, section 5.
//
// query: rows (token by token, head by head) of head_dim f32, after rope, as vectors
// codes: per row head_dim i8, four to a word; for q8_0 K two such planes, value = 255 * first + second
// mults: per row and scale block of K
// faults: 1 is written for a row with an inf or nan, whose codes are 0
// grid: a workgroup of THREADS invocations per row
// class: Exact
// twin: crates/turbo-cpu/src/attention/query_codes.rs

#import query_codes_body

@group(0) @binding(0) var<storage, read> query: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> mults: array<f32>;
@group(0) @binding(3) var<storage, read_write> faults: array<u32>;
#params QueryCodesParams
