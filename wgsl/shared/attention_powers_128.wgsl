// Powers of the scores of a lane's two keys; docs/exact-attention.md, section 7.

// Of a lane, for every row: 2^score = mantissa * 2^(exponent - 23); mantissa 0 if a key is not seen.
struct Powers {
    mantissa: array<vec2<u32>, ROWS>,
    exponent: array<vec2<i32>, ROWS>,
}

struct Scores {
    row: array<vec2<i32>, ROWS>,
}

// Scores with the parts that the key bias gives, if there is one; `place` is the first key's among those of the row.
fn with_key_bias(stored: Scores, place: u32) -> Scores {
    var scores = stored;
    if params.key_bias != 0u {
#repeat R ROWS
        {
            let index = rows[R].x;
            let at = select(index, 0u, index == ABSENT) * params.key_bias + place;
            scores.row[R] += vec2<i32>(key_bias[at], key_bias[at + 32u]);
        }
#end
    }
    return scores;
}

fn powers_of(scores: Scores, position: vec2<u32>) -> Powers {
    var powers: Powers;
#repeat R ROWS
    {
        let row = rows[R];
        var s = scores.row[R];
        if params.cap_limit != 0u {
            s = soft_cap(s.xyxy, params.cap_limit, params.cap_factor).xy;
        }
        let seen = (position >= vec2<u32>(row.y)) & (position < vec2<u32>(row.z));
        powers.mantissa[R] = select(vec2<u32>(0u), exp2_mantissa(s.xyxy).xy, seen);
        powers.exponent[R] = s >> vec2<u32>(16u);
    }
#end
    return powers;
}
