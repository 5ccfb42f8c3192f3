// Value sums of a tile for f16 V in f32, their folding, and the output.
//
// The invocation has the values 4 lane .. + 3 of every half (64 values) of a slice.

#import float_bits

// Sums of the chunk, per half and row, and their exponents; those of all chunks before are in y.
var<private> chunk_sums: array<array<vec4<f32>, 4>, 2>;
var<private> chunk_exponents: vec4<i32>;
var<private> sum_exponents: vec4<i32>;

// 2^k for k <= 0, 0 below the normal range.
fn power_of_two(k: i32) -> f32 {
    return bitcast<f32>(select(0u, u32(127 + max(k, -127)) << 23u, k > -127));
}

// The weights of the tile, in the frame of its largest exponent.
fn write_weights(tops: vec4<i32>, t: u32) {
#repeat R 4
    {
        let p = vec4<f32>(bitcast<vec4<i32>>(mantissas[R])) * 0x1p-23f;
        let drop = exponents[R] - vec4<i32>(tops[R]);
        let factor = vec4<f32>(
            power_of_two(min(drop.x, 0)),
            power_of_two(min(drop.y, 0)),
            power_of_two(min(drop.z, 0)),
            power_of_two(min(drop.w, 0)),
        );
        weights[((t / 16u) * 4u + R) * 16u + (t & 15u)] = bitcast<vec4<u32>>(p * factor);
    }
#end
}

// A half of a slice of the tile's values to workgroup memory.
fn load_half(unit_words: u32, from_value: u32, values: u32, t: u32) {
    let octets = values / 8u;
    for (var i = t; i < TILE * octets; i += THREADS) {
        let key = i / octets;
        let octet = i % octets;
        let at = unit_words + key * params.v_words + from_value / 2u + octet * 4u;
        stage[key * 8u + octet] = vec4<u32>(v_pool[at], v_pool[at + 1u], v_pool[at + 2u], v_pool[at + 3u]);
    }
}

fn half_sums(t: u32) -> array<vec4<f32>, 4> {
    let lane = t & 15u;
    let first = (t / 16u) * 4u;
    var sums = array<vec4<f32>, 4>();
    for (var quad = 0u; quad < 16u; quad++) {
        var w: array<vec4<f32>, 4>;
#repeat R 4
        w[R] = bitcast<vec4<f32>>(weights[(first + R) * 16u + quad]);
#end
#repeat C 4
        {
            let words = stage[(quad * 4u + C) * 8u + lane / 2u];
            let own = select(words.xy, words.zw, vec2<bool>((lane & 1u) != 0u));
            let x = vec4<f32>(unpack2x16float(own.x), unpack2x16float(own.y));
#repeat R 4
            sums[R] += w[R][C] * x;
#end
        }
#end
    }
    return sums;
}

// Adds the tile to the sums of the chunk. Nothing is being read any more at the end.
fn add_values(unit_words: u32, slice: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
    let first = (t / 16u) * 4u;
    workgroupBarrier();
    sum_mantissas(t);
    let tops = vec4<i32>(
        atomicLoad(&row_tops[first]),
        atomicLoad(&row_tops[first + 1u]),
        atomicLoad(&row_tops[first + 2u]),
        atomicLoad(&row_tops[first + 3u]),
    );
    write_weights(tops, t);
    let e = max(chunk_exponents, tops);
    for (var half = 0u; half * 64u < size; half++) {
        if half != 0u {
            workgroupBarrier();
        }
        load_half(unit_words, slice * 128u + half * 64u, min(size - half * 64u, 64u), t);
        workgroupBarrier();
        let sums = half_sums(t);
#repeat R 4
        {
            let state = chunk_sums[half][R] * power_of_two(max(chunk_exponents[R] - e[R], -200));
            let part = sums[R] * power_of_two(max(tops[R] - e[R], -200));
            // Of a tile without keys the values can be anything.
            chunk_sums[half][R] = state + select(part, vec4<f32>(0.0), tops[R] == LOWEST);
        }
#end
    }
    chunk_exponents = e;
    add_denominators(t);
    workgroupBarrier();
    reset_softmax(t);
}

fn begin_values() {
    chunk_exponents = vec4<i32>(LOWEST);
    sum_exponents = vec4<i32>(LOWEST);
}

// Adds the chunk to the sums of all chunks, and empties it.
fn fold_chunk(slice: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
    fold_denominators();
    let e = max(sum_exponents, chunk_exponents);
#repeat R 4
    {
        let index = rows[(t / 16u) * 4u + R].x;
        let kept = power_of_two(max(sum_exponents[R] - e[R], -200));
        let added = power_of_two(max(chunk_exponents[R] - e[R], -200));
        let at = index * params.head_dim_v + slice * 128u + (t & 15u) * 4u;
#repeat H 2
#repeat C 4
        if index != ABSENT && H * 64u + (t & 15u) * 4u < size {
            let old = select(bitcast<f32>(y[at + H * 64u + C]), 0.0, sum_exponents[R] == LOWEST);
            y[at + H * 64u + C] = bitcast<u32>(opaque(old * kept) + chunk_sums[H][R][C] * added);
        }
#end
#end
    }
#end
    sum_exponents = e;
    chunk_exponents = vec4<i32>(LOWEST);
    chunk_sums = array<array<vec4<f32>, 4>, 2>();
}

fn write_output(slice: u32, kv_head: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
#repeat R 4
    {
        let index = rows[(t / 16u) * 4u + R].x;
        var denominator = denominators[R];
        if params.sinks != 0u && index != ABSENT {
            denominator = fold_denominator(denominator, sink_of(sinks[index % (params.kv_heads * params.group)]));
        }
        let l = f32(i32(max(denominator.bound, 1u)));
        let at = index * params.head_dim_v + slice * 128u + (t & 15u) * 4u;
#repeat H 2
#repeat C 4
        if index != ABSENT && H * 64u + (t & 15u) * 4u < size {
            let sum = bitcast<f32>(y[at + H * 64u + C]) / l;
            y[at + H * 64u + C] = bitcast<u32>(scale_pow2(sum, sum_exponents[R] - denominator.e + 23));
        }
#end
#end
    }
#end
}
