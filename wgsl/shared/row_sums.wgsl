// A lane's part of the products of a weight row with TOKENS tokens, then of the sums of the tokens' squares.
//
// LANES lanes share a row, and read AHEAD units each before they use the first. Words: TOKENS, LANES, AHEAD, and those of
// token_unit.wgsl. Units are added in one order whatever TOKENS and AHEAD are.

fn row_sums(base: u32, first_token: u32, lane: u32) -> array<f32, 2 * TOKENS> {
    var sums: array<f32, 2 * TOKENS>;
    var unit = lane;
    let whole = params.units - params.units % (LANES * AHEAD);
    for (; unit < whole; unit += LANES * AHEAD) {
        var raw: array<RawUnit, AHEAD>;
#repeat A AHEAD
        raw[A] = raw_unit(base, unit + LANES * A);
#end
#if TOKENS == 1
        var x: array<TokenUnit, AHEAD>;
#repeat A AHEAD
        x[A] = token_unit(first_token * params.units + unit + LANES * A);
#end
#endif
#repeat A AHEAD
        {
            let u = decoded_unit(raw[A], unit + LANES * A);
#if TOKENS == 1
            sums[0] += token_dot(u, x[A]);
            sums[1] += x[A].head.w;
#else
#repeat N TOKENS
            {
                let x = token_unit(min(first_token + N, params.tokens - 1u) * params.units + unit + LANES * A);
                sums[N] += token_dot(u, x);
                sums[TOKENS + N] += x.head.w;
            }
#end
#endif
        }
#end
    }
    for (; unit < params.units; unit += LANES) {
        let u = decoded_unit(raw_unit(base, unit), unit);
#repeat N TOKENS
        {
            let x = token_unit(min(first_token + N, params.tokens - 1u) * params.units + unit);
            sums[N] += token_dot(u, x);
            sums[TOKENS + N] += x.head.w;
        }
#end
    }
    return sums;
}
