// Scores of the keys of a chunk for coded K: integer dot products; docs/exact-attention.md, section 6.
//
// An invocation has key t of each of the four tiles: component j of its vectors is tile j.

#define DIM_K params.head_dim_k
#import attention_queries
#if K_TYPE != 0
#import octet TYPE=K_TYPE POOL=k_pool octet=k_octet
#import levels TYPE=K_TYPE levels=k_levels
#endif

// Levels of an octet of the four keys.
fn key_levels(at: vec4<u32>, i: u32, n: u32) -> Levels {
#if K_TYPE == 0
    let a = at + vec4<u32>(2u * i);
    let b = a + vec4<u32>(1u);
    return Levels(
        vec4<u32>(k_pool[a.x], k_pool[a.y], k_pool[a.z], k_pool[a.w]),
        vec4<u32>(k_pool[b.x], k_pool[b.y], k_pool[b.z], k_pool[b.w]),
    );
#else
    let high = params.head_dim_k / 16u;
    let codes =
        vec4<u32>(k_octet(at.x, i, high), k_octet(at.y, i, high), k_octet(at.z, i, high), k_octet(at.w, i, high));
    return k_levels(codes, n);
#endif
}

// Scales of the four keys, half `t % 2` of the words at `at`.
fn key_scales(at: vec4<u32>, t: u32) -> vec4<f32> {
    let a = unpack2x16float(k_pool[at.x]);
    let b = unpack2x16float(k_pool[at.y]);
    let c = unpack2x16float(k_pool[at.z]);
    let d = unpack2x16float(k_pool[at.w]);
    let first = vec4<f32>(a.x, b.x, c.x, d.x);
    let second = vec4<f32>(a.y, b.y, c.y, d.y);
    return select(first, second, (t & 1u) != 0u);
}

struct Scores {
    row: array<vec4<i32>, ROWS>,
}

// Q16 log2 scores of the invocation's four keys, for every row.
fn key_scores(units: vec4<u32>, t: u32) -> Scores {
    let token = units + vec4<u32>(t * params.k_words);
    let scales = units + vec4<u32>(TILE * params.k_words + t / 2u);
    var scores: Scores;
    var octet = 0u;
    for (var block = 0u; block < params.k_blocks; block++) {
#if K_TYPE == 0
        let n = quant_size(params.head_dim_k - octet * 8u);
#else
#if K_TYPE == 1
        let n = quant_size(params.head_dim_k - octet * 8u);
#else
        let n = group_size(params.head_dim_k - octet * 8u);
#endif
#endif
        var sums: array<vec4<i32>, ROWS>;
        let behind = octet + n / 8u;
        for (; octet < behind; octet++) {
            let levels = key_levels(token, octet, n);
#repeat R ROWS
            {
                let q = query_octets[octet * ROWS + R];
#if K_TYPE == 0
                sums[R] += 255 * (dots(levels.even, q.x) + dots(levels.odd, q.y));
                sums[R] += dots(levels.even, q.z) + dots(levels.odd, q.w);
#else
                sums[R] += dots(levels.even, q.x) + dots(levels.odd, q.y);
#endif
            }
#end
        }
        let scale = key_scales(scales + vec4<u32>(block * (TILE / 2u)), t);
#repeat R ROWS
        {
            let index = rows[R].x;
            let mult = mults[select(index, 0u, index == ABSENT) * params.k_blocks + block];
            let product = opaque4(vec4<f32>(sums[R]) * scale);
            scores.row[R] += vec4<i32>(round(clamp(product * mult, vec4<f32>(-LIMIT), vec4<f32>(LIMIT))));
        }
#end
    }
    return scores;
}
