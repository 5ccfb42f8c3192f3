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

#import grid
#ifdef H128
#import kv_encode_128
#else
#import kv_encode_any
#endif
#import kv_encode_params
#import kv_main
#import kv_report
#import store_plane store_plane=store_low BITS=LOW_BITS SHIFT=0
#ifdef HIGH
#import store_plane store_plane=store_high BITS=1 SHIFT=2
#endif

@group(0) @binding(0) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> pool: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> faults: array<atomic<u32>>;
#params KvEncodeParams

// Stores a scale in half `place` of the words from `base` on.
fn store_scale(base: u32, place: u32, scale: u32) {
    let at = base + place / 2u;
    let shift = (place % 2u) * 16u;
    // The other half belongs to another token, whose lanes may write it at this moment.
    atomicAnd(&pool[at], 0xffff0000u >> shift);
    atomicOr(&pool[at], scale << shift);
}

// What kv_main calls.
fn heads_of(id: vec3<u32>, size: vec3<u32>, local: u32, alone: bool) {
#ifdef H128
    encode_128(head_128(id, size, local, 4u), local % 32u, alone);
#else
    let index = linear_workgroup(id, size) * 64u + local;
    let units = vec2<u32>(unit_words(params.head_dim.x), unit_words(params.head_dim.y));
    encode(job_of(index / LANES, units), index % LANES);
#endif
}
