// Storing heads as codes: everything but params and buffers.
//
// Words: H128, HIGH, LOW_BITS and those of what it imports.

#import grid
#ifdef H128
#import kv_encode_128
#else
#import kv_encode_any
#endif
#import kv_main
#import kv_report
#import store_plane store_plane=store_low BITS=LOW_BITS SHIFT=0
#ifdef HIGH
#import store_plane store_plane=store_high BITS=1 SHIFT=2
#endif

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
