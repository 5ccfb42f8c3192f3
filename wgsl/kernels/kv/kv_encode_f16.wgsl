// Stores heads of K and V in the cache as f16, not rotated. docs/exact-attention.md, section 4.
//
// A head with inf or nan, or with a value that rounds beyond f16, is reported and not stored.
//
// k, v: rows of heads of the first and the second side, row[side] vectors of two f32 from one token to the next
// slots: for every token 64 * block + place in the block; those of blocks not in this pool are left out
// pool: blocks of turbo_backend::SideLayout
// faults: as in kv_encode
// grid: 64 invocations per workgroup, LANES for each of tokens * sides * heads
// class: Exact
// twin: crates/turbo-cpu/src/kv/kv_encode_f16.rs

#import f16_bits
#import grid
#import kv_job SIDES=2
#import reduce_head

struct KvEncodeParams {
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
}

@group(0) @binding(0) var<storage, read> k: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read> v: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> pool: array<u32>;
@group(0) @binding(4) var<storage, read_write> faults: array<atomic<u32>>;
#params KvEncodeParams

// Values `2 * i` and `2 * i + 1` of the head.
fn load(job: Job, i: u32) -> vec2<f32> {
    let words = params.head_dim[job.side] / 2u;
    let at = params.first[job.side] + job.token * params.row[job.side] + job.head * words + i;
    if job.side == 0u {
        return k[at];
    }
    return v[at];
}

fn encode(job: Job, lane: u32) {
    let words = params.head_dim[job.side] / 2u;
    var own = 0u;
    for (var i = lane; i < words; i += LANES) {
        let magnitude = bitcast<vec2<u32>>(load(job, i)) & vec2<u32>(0x7fffffffu);
        own = max(own, max(magnitude.x, magnitude.y));
    }
    let largest = max_of_head(own);
    if !job.inside {
        return;
    }
    if largest >= F16_OVERFLOW {
        if lane == 0u {
            let kind = select(0u, 1u, largest < 0x7f800000u);
            let key = (job.token << 12u) | ((params.first_side + job.side) << 11u) | (job.head << 1u) | kind;
            atomicMax(&faults[params.fault], ~key);
        }
        return;
    }
    let to = job.unit + job.place * words;
    for (var i = lane; i < words; i += LANES) {
        let x = load(job, i);
        pool[to + i] = f16_round(x.x) | (f16_round(x.y) << 16u);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
#if LANES == 1
    @builtin(local_invocation_index) local: u32,
#else
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
#endif
) {
#if LANES != 1
    let local = subgroup * subgroup_size + subgroup_lane;
#endif
    let index = linear_workgroup(id, size) * 64u + local;
    encode(job_of(index / LANES, 32u * params.head_dim), index % LANES);
}
