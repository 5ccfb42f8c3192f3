// A lane's part of the products of SHARED weight rows with TOKENS tokens: sum r TOKENS + n is row r's with token n, then come
// the sums of the tokens' squares.
//
// LANES lanes share the rows, unit by unit, and read a unit of activations once for all of them. Words: TOKENS, LANES,
// SHARED, and those of token_unit.wgsl. Units are added in one order whatever TOKENS and SHARED are.

// Rows from `first_row` on; those behind `last` are that row again.
fn row_sums(first_row: u32, last: u32, first_token: u32, lane: u32) -> array<f32, (SHARED + 1) * TOKENS> {
    var sums: array<f32, (SHARED + 1) * TOKENS>;
    for (var unit = lane; unit < params.units; unit += LANES) {
        var raw: array<RawUnit, SHARED>;
#repeat R SHARED
        raw[R] = raw_unit(min(first_row + R, last) * params.row_words, unit);
#end
        var units: array<Unit, SHARED>;
#repeat R SHARED
        units[R] = decoded_unit(raw[R], unit);
#end
#repeat N TOKENS
        {
            let x = token_unit(min(first_token + N, params.tokens - 1u) * params.units + unit);
#repeat R SHARED
            sums[R * TOKENS + N] += token_dot(units[R], x);
#end
            sums[SHARED * TOKENS + N] += x.head.w;
        }
#end
    }
    return sums;
}
