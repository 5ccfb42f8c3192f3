// Powers of the scores of a tile, and the denominators; docs/exact-attention.md, sections 7 to 9.

// Of every row of the invocation, for its four keys: 2^score = mantissa * 2^(exponent - 23); mantissa 0 of a key that is
// not seen.
var<private> mantissas: array<vec4<u32>, 4>;
var<private> exponents: array<vec4<i32>, 4>;
// Denominators of the chunk and of all chunks before.
var<private> chunk_denominators: array<Frame, 4>;
var<private> denominators: array<Frame, 4>;

#ifdef SUBGROUP
// The largest `x` of the 16 lanes of the rows.
fn largest_of_lanes(x: vec4<i32>) -> vec4<i32> {
    var m = x;
#repeat S 4
    m = max(m, subgroupShuffleXor(m, 1u << S));
#end
    return m;
}

fn sum_of_lanes(x: vec4<u32>) -> vec4<u32> {
    var m = x;
#repeat S 4
    m += subgroupShuffleXor(m, 1u << S);
#end
    return m;
}

fn reset_softmax(t: u32) {
}
#else
// Of every row: largest exponent, sum of the mantissas, largest exponents of the weights of four blocks.
var<workgroup> row_tops: array<atomic<i32>, ROWS>;
var<workgroup> row_sums: array<atomic<u32>, ROWS>;
var<workgroup> row_frames: array<atomic<i32>, ROWS * 4>;

fn reset_softmax(t: u32) {
    if t < ROWS {
        atomicStore(&row_tops[t], LOWEST);
        atomicStore(&row_sums[t], 0u);
    }
    for (var i = t; i < ROWS * 4u; i += THREADS) {
        atomicStore(&row_frames[i], LOWEST);
    }
}
#endif

fn largest4(x: vec4<i32>) -> i32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

// The powers of the scores of the tile that starts at position `start`.
fn find_powers(start: u32, bias_base: u32, t: u32) {
    let first = (t / 16u) * 4u;
    let key = start + (t & 15u) * 4u;
    let position = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
#repeat R 4
    {
        let row = rows[first + R];
        var s = scores[R];
        if params.key_bias != 0u {
            let at = select(row.x, 0u, row.x == ABSENT) * params.key_bias + key - bias_base;
            s += vec4<i32>(key_bias[at], key_bias[at + 1u], key_bias[at + 2u], key_bias[at + 3u]);
        }
        if params.cap_limit != 0u {
            s = soft_cap(s, params.cap_limit, params.cap_factor);
        }
        let seen = (position >= vec4<u32>(row.y)) & (position < vec4<u32>(row.z));
        mantissas[R] = select(vec4<u32>(0u), exp2_mantissa(s), seen);
        exponents[R] = select(vec4<i32>(LOWEST), s >> vec4<u32>(16u), seen);
#ifndef SUBGROUP
        atomicMax(&row_tops[first + R], largest4(exponents[R]));
#endif
    }
#end
}

// The sum of the invocation's mantissas of a row in the frame `top`.
fn sum_of_keys(mantissa: vec4<u32>, exponent: vec4<i32>, top: i32) -> u32 {
    let parts = mantissa >> min(bitcast<vec4<u32>>(vec4<i32>(top) - exponent), vec4<u32>(31u));
    return parts.x + parts.y + parts.z + parts.w;
}

#ifdef SUBGROUP
// Adds the tile to the chunk's denominators.
fn add_denominators() {
    let tops = largest_of_lanes(vec4<i32>(
        largest4(exponents[0]),
        largest4(exponents[1]),
        largest4(exponents[2]),
        largest4(exponents[3]),
    ));
    let sums = sum_of_lanes(vec4<u32>(
        sum_of_keys(mantissas[0], exponents[0], tops.x),
        sum_of_keys(mantissas[1], exponents[1], tops.y),
        sum_of_keys(mantissas[2], exponents[2], tops.z),
        sum_of_keys(mantissas[3], exponents[3], tops.w),
    ));
#repeat R 4
    chunk_denominators[R] = fold_denominator(chunk_denominators[R], Frame(tops[R], sums[R]));
#end
}
#else
// Sums the mantissas of the tile, once the largest exponents are known.
fn sum_mantissas(t: u32) {
    let first = (t / 16u) * 4u;
#repeat R 4
    atomicAdd(&row_sums[first + R], sum_of_keys(mantissas[R], exponents[R], atomicLoad(&row_tops[first + R])));
#end
}

// Adds the tile to the chunk's denominators.
fn add_denominators(t: u32) {
    let first = (t / 16u) * 4u;
#repeat R 4
    {
        let part = Frame(atomicLoad(&row_tops[first + R]), atomicLoad(&row_sums[first + R]));
        chunk_denominators[R] = fold_denominator(chunk_denominators[R], part);
    }
#end
}
#endif

// Adds the chunk's denominators to those of all chunks.
fn fold_denominators() {
#repeat R 4
    denominators[R] = fold_denominator(denominators[R], chunk_denominators[R]);
    chunk_denominators[R] = Frame(0, 0u);
#end
}

// The part of the denominator that an attention sink is.
fn sink_of(logit: f32) -> Frame {
    let scaled = opaque(logit * 0x1.715476p0f) * 65536.0;
    let s = i32(round(select(-LIMIT, min(scaled, LIMIT), scaled > -LIMIT)));
    return Frame(s >> 16u, exp2_mantissa(vec4<i32>(s)).x);
}
