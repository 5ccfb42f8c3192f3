// A lane's part of the products of a row of each of two matrices, weights and up, with TOKENS tokens, and of the sums of
// the tokens' squares, to lane_parts.wgsl. Words: those of row_sums.wgsl; units are added in its order.

#import token_unit
#import weight_words weights=up raw_unit=raw_unit_up weight_word=weight_word_up

fn pair_sums(base: u32, first_token: u32, t: u32) {
    let lane = t % LANES;
    var sums: array<f32, 3 * TOKENS>;
    var unit = lane;
    let whole = params.units - params.units % (LANES * AHEAD);
    for (; unit < whole; unit += LANES * AHEAD) {
        var raw: array<RawUnit, 2 * AHEAD>;
#repeat A AHEAD
        raw[A] = raw_unit(base, unit + LANES * A);
        raw[AHEAD + A] = raw_unit_up(base, unit + LANES * A);
#end
#repeat A AHEAD
        {
            let u = decoded_unit(raw[A], unit + LANES * A);
            let v = decoded_unit(raw[AHEAD + A], unit + LANES * A);
#repeat N TOKENS
            {
                let x = token_unit(min(first_token + N, params.tokens - 1u) * params.units + unit + LANES * A);
                sums[N] += token_dot(u, x);
                sums[TOKENS + N] += token_dot(v, x);
                sums[2 * TOKENS + N] += x.head.w;
            }
#end
        }
#end
    }
    for (; unit < params.units; unit += LANES) {
        let u = decoded_unit(raw_unit(base, unit), unit);
        let v = decoded_unit(raw_unit_up(base, unit), unit);
#repeat N TOKENS
        {
            let x = token_unit(min(first_token + N, params.tokens - 1u) * params.units + unit);
            sums[N] += token_dot(u, x);
            sums[TOKENS + N] += token_dot(v, x);
            sums[2 * TOKENS + N] += x.head.w;
        }
#end
    }
#repeat Q 2 * TOKENS
    store_part(Q, t / LANES, lane, sums[Q]);
#end
    if t < LANES {
#repeat N TOKENS
        square_parts[N * LANES + t] = sums[2 * TOKENS + N];
#end
    }
}
