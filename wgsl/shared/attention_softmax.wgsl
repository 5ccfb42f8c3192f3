// Powers of the scores of a chunk, and its denominator; docs/exact-attention.md, sections 7 to 9.

// Of every row, for the invocation's four keys: 2^score = mantissa * 2^(exponent - 23); mantissa 0 if a key is not seen.
struct Powers {
    mantissa: array<vec4<u32>, ROWS>,
    exponent: array<vec4<i32>, ROWS>,
}

// The powers, and the largest exponent of every row and tile to `exponents`.
fn powers_of(scores: Scores, position: vec4<u32>, t: u32) -> Powers {
    var powers: Powers;
#repeat R ROWS
    {
        let row = rows[R];
        var s = scores.row[R];
        if params.cap_limit != 0u {
            s = soft_cap(s, params.cap_limit, params.cap_factor);
        }
        let seen = (position >= vec4<u32>(row.y)) & (position < vec4<u32>(row.z));
        powers.mantissa[R] = select(vec4<u32>(0u), exp2_mantissa(s), seen);
        powers.exponent[R] = s >> vec4<u32>(16u);
        let top = select(vec4<i32>(LOWEST), powers.exponent[R], seen);
        merge_exponents(R * 4u, top);
    }
#end
    return powers;
}

fn largest_exponents(row: u32) -> vec4<i32> {
    return vec4<i32>(
        atomicLoad(&exponents[row * 4u]),
        atomicLoad(&exponents[row * 4u + 1u]),
        atomicLoad(&exponents[row * 4u + 2u]),
        atomicLoad(&exponents[row * 4u + 3u]),
    );
}

// The sums of the mantissas of every row and tile, once the largest exponents are known.
fn sum_mantissas(powers: Powers) {
#repeat R ROWS
    {
        let drop = bitcast<vec4<u32>>(largest_exponents(R) - powers.exponent[R]);
        let part = powers.mantissa[R] >> min(drop, vec4<u32>(31u));
        merge_mantissas(R * 4u, part);
    }
#end
}

// First word of the partial of row `index` for chunk `slot` of those its sequence sees.
fn partial_at(index: u32, slot: u32) -> u32 {
    return (index * params.slots + slot) * (partial_head(params.v_blocks) + params.head_dim_v);
}

// Folds the tiles' denominators in order and writes them to the partials.
fn write_denominator(slot: u32, t: u32) {
    if t >= ROWS || rows[t].x == ABSENT {
        return;
    }
    var state = Frame(0, 0u);
#repeat J 4
    state = fold_denominator(state, Frame(atomicLoad(&exponents[t * 4u + J]), atomicLoad(&mantissas[t * 4u + J])));
#end
    let at = partial_at(rows[t].x, slot);
    partials[at] = state.bound;
    partials[at + 1u] = bitcast<u32>(state.e);
}
