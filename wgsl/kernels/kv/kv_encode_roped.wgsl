// Stores heads of K and V in the cache, K after its norm and its rotary embedding: what ops/norm_rope (or ops/rope) and
// kv/kv_encode or kv/kv_encode_f16 do one after the other. K and V are stored as one type.
//
// k, v: rows of heads, row[side] vectors of four f32 from one token to the next; k as the product left it
// slots, pool, faults: as in kv_encode
// factors: per token params.pairs cosines, then as many sines; see shared/roped_quads.wgsl
// weight: head_dim.x factors of the norm as vectors; not used, but read, if params.normed is 0
// grid: as in kv_encode
// class: Bounded, for norm and rotation; given the values that these make, what is stored is Exact
// twin: crates/turbo-cpu/src/kv/kv_encode_roped.rs

#ifdef HALVES
#import kv_encode_halves
#else
#import kv_encode_coded
#endif

struct KvEncodeRopedParams {
    zero: u32,
    tokens: u32,
    head_dim: vec2<u32>,
    row: vec2<u32>,
    first: vec2<u32>,
    offset: vec2<u32>,
    heads: u32,
    sides: u32,
    first_side: u32,
    tiles: u32,
    block_words: u32,
    first_block: u32,
    blocks: u32,
    fault: u32,
    pairs: u32,
    turned: u32,
    neox: u32,
    normed: u32,
    eps: f32,
    first_token: u32,
}

@group(0) @binding(0) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> factors: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> pool: array<atomic<u32>>;
@group(0) @binding(6) var<storage, read_write> faults: array<atomic<u32>>;
#params KvEncodeRopedParams
