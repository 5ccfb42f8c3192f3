// Query heads for attention over coded K straight from their product: what ops/norm_rope (or ops/rope) and
// attention/query_codes do one after the other.
//
// query: rows (token by token, params.heads heads each) of head_dim f32, before norm and rope, as vectors
// factors: per token params.pairs cosines, then as many sines; see shared/roped_quads.wgsl
// weight: head_dim factors of the norm as vectors; not used, but read, if params.normed is 0
// codes, mults, faults: as in query_codes
// grid: a workgroup of THREADS invocations per row
// class: Bounded, for norm and rotation; given the values that these make, the codes are Exact
// twin: crates/turbo-cpu/src/attention/query_codes_roped.rs

#import query_codes_body

@group(0) @binding(0) var<storage, read> query: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> codes: array<u32>;
@group(0) @binding(4) var<storage, read_write> mults: array<f32>;
@group(0) @binding(5) var<storage, read_write> faults: array<u32>;
#params QueryCodesParams
