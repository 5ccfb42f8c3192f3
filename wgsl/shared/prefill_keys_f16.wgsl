// Scores of the keys of a tile for f16 K, in f32; docs/exact-attention.md, section 6.

// Q16 log2 scores of the invocation's rows; component k is key 4 lane + k.
var<private> scores: array<vec4<i32>, 4>;

fn begin_queries(t: u32) {
}

// Queries and keys of the values `from` .. `from + values` to workgroup memory.
fn load_values(unit_words: u32, from_value: u32, values: u32, t: u32) {
    let quads = values / 4u;
    for (var i = t; i < ROWS * quads; i += THREADS) {
        let index = rows[i / quads].x;
        let present = index != ABSENT;
        let at = select(0u, index, present) * params.head_dim_k + from_value + (i % quads) * 4u;
        let words = vec4<u32>(queries[at], queries[at + 1u], queries[at + 2u], queries[at + 3u]);
        weights[(i / quads) * 16u + i % quads] = select(vec4<u32>(0u), words, present);
    }
    let octets = values / 8u;
    for (var i = t; i < TILE * octets; i += THREADS) {
        let key = i / octets;
        let octet = i % octets;
        let at = unit_words + key * params.k_words + from_value / 2u + octet * 4u;
        stage[place_of_key(key, octet)] = vec4<u32>(k_pool[at], k_pool[at + 1u], k_pool[at + 2u], k_pool[at + 3u]);
    }
}

// The scores of a tile. Ends with the keys still being read.
fn key_scores(unit_words: u32, t: u32) {
    let lane = t & 15u;
    let first = (t / 16u) * 4u;
    var sums = array<vec4<f32>, 4>();
    for (var at = 0u; at < params.head_dim_k; at += 64u) {
        if at != 0u {
            workgroupBarrier();
        }
        let values = min(params.head_dim_k - at, 64u);
        load_values(unit_words, at, values, t);
        workgroupBarrier();
        for (var octet = 0u; octet < values / 8u; octet++) {
            let a = stage[place_of_key(lane * 4u, octet)];
            let b = stage[place_of_key(lane * 4u + 1u, octet)];
            let c = stage[place_of_key(lane * 4u + 2u, octet)];
            let d = stage[place_of_key(lane * 4u + 3u, octet)];
#repeat R 4
#repeat H 2
            {
                let q = bitcast<vec4<f32>>(weights[(first + R) * 16u + octet * 2u + H]);
#repeat W 2
                {
                    let k = array<vec2<f32>, 4>(
                        unpack2x16float(a[2 * H + W]),
                        unpack2x16float(b[2 * H + W]),
                        unpack2x16float(c[2 * H + W]),
                        unpack2x16float(d[2 * H + W]),
                    );
                    sums[R] += vec4<f32>(k[0].x, k[1].x, k[2].x, k[3].x) * q[2 * W];
                    sums[R] += vec4<f32>(k[0].y, k[1].y, k[2].y, k[3].y) * q[2 * W + 1];
                }
#end
            }
#end
#end
        }
    }
#repeat R 4
    {
        let scaled = opaque4(sums[R] * params.score_factor) * 65536.0;
        // Nan is the lowest score.
        const MOST = vec4<f32>(536870912.0);
        scores[R] = vec4<i32>(round(select(-MOST, min(scaled, MOST), scaled > -MOST)));
    }
#end
}
