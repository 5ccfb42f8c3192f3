// Powers of the scores of a lane's two keys; docs/exact-attention.md, section 7.

// Exponent of a key that is not seen: below all others by far, and far from overflow.
const HIDDEN = -0x20000000;

// Of a lane, for every row: 2^score = mantissa * 2^(exponent - 23); mantissa 0, exponent HIDDEN if a key is not seen.
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
#ifndef SHORT
    if params.key_bias != 0u {
#repeat R ROWS
        {
            let index = rows[R].x;
            let at = select(index, 0u, index == ABSENT) * params.key_bias + place;
            scores.row[R] += vec2<i32>(key_bias[at], key_bias[at + 32u]);
        }
#end
    }
#endif
    return scores;
}

// `whole`: all rows see all keys of the tile.
fn powers_of(scores: Scores, position: vec2<u32>, whole: bool) -> Powers {
    var own = scores;
    if params.cap_limit != 0u {
#repeat R ROWS
        own.row[R] = soft_cap(own.row[R].xyxy, params.cap_limit, params.cap_factor).xy;
#end
    }
    var powers: Powers;
#repeat R ROWS
    powers.mantissa[R] = exp2_mantissa(own.row[R].xyxy).xy;
    powers.exponent[R] = own.row[R] >> vec2<u32>(16u);
#end
    if !whole {
#repeat R ROWS
        {
            let seen = (position >= vec2<u32>(rows[R].y)) & (position < vec2<u32>(rows[R].z));
            powers.mantissa[R] = select(vec2<u32>(0u), powers.mantissa[R], seen);
            powers.exponent[R] = select(vec2<i32>(HIDDEN), powers.exponent[R], seen);
        }
#end
    }
    return powers;
}

// Whether all tokens of a sequence see all keys of the tile that starts at `position`.
fn sees_whole(sequence: Sequence, position: u32) -> bool {
    return position >= first_seen(sequence.start + sequence.tokens - 1u) && position + TILE <= sequence.start + 1u;
}
