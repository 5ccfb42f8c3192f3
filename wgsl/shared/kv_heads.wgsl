// The heads that are stored, four values at a time: as they lie in `k` and `v`, or, ROPED, K normed and turned first.
//
// Words: LANES, LOG_LANES, H128, ROPED.

#ifdef ROPED
#import roped_quads SOURCE=k
#endif

// Vectors of the k or v buffer before the head.
fn head_start(job: Job) -> u32 {
    return params.first[job.side] + job.token * params.row[job.side] + job.head * (params.head_dim[job.side] / 4u);
}

#ifdef H128
#ifdef ROPED

alias Read128 = RawQuad;

fn read_128(h: Head128, lane: u32) -> Read128 {
    if h.side == 0u {
        return read_quad(h.at, lane, h.token);
    }
    var raw: RawQuad;
    raw.own = v[h.at + lane];
    return raw;
}

fn values_128(h: Head128, raw: Read128, lane: u32) -> vec4<f32> {
    let squares = raw.own * raw.own;
    var square = (squares.x + squares.y) + (squares.z + squares.w);
#repeat S 5
    square += subgroupShuffleXor(square, 1u << S);
#end
    let turned = turn_quad(raw, lane, norm_factor(square, 128u));
    return select(turned, raw.own, h.side != 0u);
}

#else

alias Read128 = vec4<f32>;

fn read_128(h: Head128, lane: u32) -> Read128 {
    if h.side == 0u {
        return k[h.at + lane];
    }
    return v[h.at + lane];
}

fn values_128(h: Head128, x: Read128, lane: u32) -> vec4<f32> {
    return x;
}

#endif
#else
#ifdef ROPED

// What all values of the head are multiplied with; all lanes of it take part.
fn head_factor(job: Job, lane: u32) -> f32 {
    let at = select(head_start(job), 0u, job.side != 0u);
    var square = 0.0;
    for (var i = lane; i < params.head_dim.x / 4u; i += LANES) {
        let squares = k[at + i] * k[at + i];
        square += (squares.x + squares.y) + (squares.z + squares.w);
    }
#repeat S LOG_LANES
    square += subgroupShuffleXor(square, 1u << S);
#end
    return norm_factor(square, params.head_dim.x);
}

// `at`: head_start of the head.
fn head_quad(job: Job, at: u32, quad: u32, factor: f32) -> vec4<f32> {
    if job.side == 0u {
        return turn_quad(read_quad(at, quad, job.token), quad, factor);
    }
    return v[at + quad];
}

#else

fn head_factor(job: Job, lane: u32) -> f32 {
    return 1.0;
}

fn head_quad(job: Job, at: u32, quad: u32, factor: f32) -> vec4<f32> {
    if job.side == 0u {
        return k[at + quad];
    }
    return v[at + quad];
}

#endif
#endif
