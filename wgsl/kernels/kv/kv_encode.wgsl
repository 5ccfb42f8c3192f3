// Stores heads of K and V in the cache: normalised, rotated, quantised and packed. docs/exact-attention.md, section 4.
//
// A head with inf or nan, or with a scale beyond f16, is reported and not stored. One dispatch does one side (K or V)
// or both, when they are of one type, for any number of tokens of any sequences.
//
// k, v: rows of heads of the first and the second side, row[side] vectors of four f32 from one token to the next
// slots: for every token 64 * block + place in the block; those of blocks not in this pool are left out
// pool: blocks of turbo_backend::SideLayout; atomic, because two tokens share a word of scales
// faults: word `fault` becomes the largest ~(token << 12 | side << 11 | head << 1 | kind), kind 0 non-finite, 1 overflow
// grid: 64 invocations per workgroup, LANES for each of tokens * sides * heads; with H128 that of kv_job_128
// class: Exact
// twin: crates/turbo-cpu/src/kv/kv_encode.rs

#import kv_encode_coded
#import kv_encode_params

@group(0) @binding(0) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> pool: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> faults: array<atomic<u32>>;
#params KvEncodeParams
