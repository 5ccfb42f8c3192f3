// Scores of the keys of a chunk for f16 K, in f32; docs/exact-attention.md, section 6.
//
// An invocation has key t of each of the four tiles: component j of its vectors is tile j.

fn load_queries(t: u32) {
}

// Limit of a whole score.
const WHOLE = 536870912.0;

struct Scores {
    row: array<vec4<i32>, ROWS>,
}

// Q16 log2 scores of the invocation's four keys, for every row.
fn key_scores(units: vec4<u32>, t: u32) -> Scores {
    let token = units + vec4<u32>(t * params.k_words);
    var sums: array<vec4<f32>, ROWS>;
    for (var i = 0u; i < params.k_words; i++) {
        let a = unpack2x16float(k_pool[token.x + i]);
        let b = unpack2x16float(k_pool[token.y + i]);
        let c = unpack2x16float(k_pool[token.z + i]);
        let d = unpack2x16float(k_pool[token.w + i]);
        let first = vec4<f32>(a.x, b.x, c.x, d.x);
        let second = vec4<f32>(a.y, b.y, c.y, d.y);
#repeat R ROWS
        {
            let index = rows[R].x;
            let at = select(index, 0u, index == ABSENT) * params.head_dim_k + 2u * i;
            sums[R] += opaque4(first * bitcast<f32>(queries[at]));
            sums[R] += opaque4(second * bitcast<f32>(queries[at + 1u]));
        }
#end
    }
    var scores: Scores;
#repeat R ROWS
    {
        let scaled = opaque4(sums[R] * params.score_factor) * 65536.0;
        // Nan is the lowest score.
        let kept = select(vec4<f32>(-WHOLE), min(scaled, vec4<f32>(WHOLE)), scaled > vec4<f32>(-WHOLE));
        scores.row[R] = vec4<i32>(round(kept));
    }
#end
    return scores;
}
