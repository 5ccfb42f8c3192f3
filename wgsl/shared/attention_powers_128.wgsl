// Powers of the scores of a lane's two keys; docs/exact-attention.md, section 7.

// Of a lane, for every row: 2^score = mantissa * 2^(exponent - 23); mantissa 0 if a key is not seen.
struct Powers {
    mantissa: array<vec2<u32>, ROWS>,
    exponent: array<vec2<i32>, ROWS>,
}

struct Scores {
    row: array<vec2<i32>, ROWS>,
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
