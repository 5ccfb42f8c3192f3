// A lane's part of the products of SHARED weight rows with TOKENS tokens: sum r TOKENS + n is row r's with token n, then come
// the sums of the tokens' squares.
//
// LANES lanes share the rows, unit by unit, and read a unit of activations once for all of them. Words: TOKENS, LANES,
// SHARED, and those of token_unit.wgsl. Units are added in one order whatever TOKENS and SHARED are.

// Row r starts at word first + r * params.row_words; rows behind `last` are that row again.
fn row_sums(first_row: u32, last: u32, first_token: u32, lane: u32) -> array<f32, (SHARED + 1) * TOKENS> {
    var sums: array<f32, (SHARED + 1) * TOKENS>;
    for (var unit = lane; unit < params.units; unit += LANES) {
        var raw: array<RawUnit, SHARED>;
#repeat R SHARED
        raw[R] = raw_unit(min(first_row + R, last) * params.row_words, unit);
#end
        var x: array<TokenUnit, TOKENS>;
#repeat N TOKENS
        x[N] = token_unit(min(first_token + N, params.tokens - 1u) * params.units + unit);
        sums[SHARED * TOKENS + N] += x[N].head.w;
#end
#repeat R SHARED
        {
            let u = decoded_unit(raw[R], unit);
#repeat N TOKENS
            sums[R * TOKENS + N] += token_dot(u, x[N]);
#end
        }
#end
    }
    return sums;
}
