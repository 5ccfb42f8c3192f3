// Storing heads as f16, four values at a time, not rotated.
//
// Words: H128, LANES, LOG_LANES.

#import f16_bits
#import grid
#import kv_heads
#ifdef H128
#import kv_job_128
#import reduce_lanes
#else
#import kv_job SIDES=2
#import reduce_head
#endif
#import kv_main
#import kv_report

fn largest_of(x: vec4<f32>) -> u32 {
    let magnitude = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
    return max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w));
}

fn store_halves(to: u32, x: vec4<f32>) {
    atomicStore(&pool[to], f16_round(x.x) | (f16_round(x.y) << 16u));
    atomicStore(&pool[to + 1u], f16_round(x.z) | (f16_round(x.w) << 16u));
}

#ifdef H128

fn encode_128(h: Head128, lane: u32, alone: bool) {
    let read = read_128(h, lane);
    let job = job_128(h, 64u * 64u);
    let x = values_128(h, read, lane);
    let largest = max_of_lanes(largest_of(x), alone);
    if job.inside && largest < F16_OVERFLOW {
        store_halves(job.unit + job.place * 64u + 2u * lane, x);
    }
    if job.inside && lane == 0u && largest >= F16_OVERFLOW {
        report(job, select(0u, 1u, largest < 0x7f800000u));
    }
}

#else

fn encode(job: Job, lane: u32) {
    if !any_head(job.inside) {
        return;
    }
    let factor = head_factor(job, lane);
    let at = head_start(job);
    let quads = params.head_dim[job.side] / 4u;
    var own = 0u;
    for (var i = lane; i < quads; i += LANES) {
        own = max(own, largest_of(head_quad(job, at, i, factor)));
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
    let to = job.unit + job.place * (2u * quads);
    for (var i = lane; i < quads; i += LANES) {
        store_halves(to + 2u * i, head_quad(job, at, i, factor));
    }
}

#endif

// What kv_main calls.
fn heads_of(id: vec3<u32>, size: vec3<u32>, local: u32, alone: bool) {
#ifdef H128
    encode_128(head_128(id, size, local, 4u), local % 32u, alone);
#else
    let index = linear_workgroup(id, size) * 64u + local;
    encode(job_of(index / LANES, 32u * params.head_dim), index % LANES);
#endif
}
