// Stores heads of K and V in the cache as f16, not rotated. docs/exact-attention.md, section 4.
//
// A head with inf or nan, or with a value that rounds beyond f16, is reported and not stored.
//
// k, v: rows of heads of the first and the second side, row[side] vectors of two f32 from one token to the next
// slots: for every token 64 * block + place in the block; those of blocks not in this pool are left out
// pool: blocks of turbo_backend::SideLayout
// faults: as in kv_encode
// grid: 64 invocations per workgroup, LANES for each of tokens * sides * heads; with H128 that of kv_job_128
// class: Exact
// twin: crates/turbo-cpu/src/kv/kv_encode_f16.rs

#import f16_bits
#import grid
#ifdef H128
#import kv_job_128
#import reduce_lanes
#else
#import kv_job SIDES=2
#import reduce_head
#endif
#import kv_encode_params
#import kv_main
#import kv_report

@group(0) @binding(0) var<storage, read> k: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read> v: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> pool: array<u32>;
@group(0) @binding(4) var<storage, read_write> faults: array<atomic<u32>>;
#params KvEncodeParams

#ifdef H128

fn load_128(h: Head128, i: u32) -> vec2<f32> {
    if h.side == 0u {
        return k[h.at + i];
    }
    return v[h.at + i];
}

// The values are asked for before the place of the head is known, and only once.
fn encode_128(h: Head128, lane: u32, alone: bool) {
    let x = vec4<f32>(load_128(h, lane), load_128(h, lane + 32u));
    let job = job_128(h, 64u * 64u);
    let magnitude = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
    let largest = max_of_lanes(max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w)), alone);
    if job.inside && largest < F16_OVERFLOW {
        let to = job.unit + job.place * 64u + lane;
        pool[to] = f16_round(x.x) | (f16_round(x.y) << 16u);
        pool[to + 32u] = f16_round(x.z) | (f16_round(x.w) << 16u);
    }
    if job.inside && lane == 0u && largest >= F16_OVERFLOW {
        report(job, select(0u, 1u, largest < 0x7f800000u));
    }
}

#else

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
            report(job, select(0u, 1u, largest < 0x7f800000u));
        }
        return;
    }
    let to = job.unit + job.place * words;
    for (var i = lane; i < words; i += LANES) {
        let x = load(job, i);
        pool[to + i] = f16_round(x.x) | (f16_round(x.y) << 16u);
    }
}

#endif

// What kv_main calls.
fn heads_of(id: vec3<u32>, size: vec3<u32>, local: u32, alone: bool) {
#ifdef H128
    encode_128(head_128(id, size, local, 2u), local % 32u, alone);
#else
    let index = linear_workgroup(id, size) * 64u + local;
    encode(job_of(index / LANES, 32u * params.head_dim), index % LANES);
#endif
}
