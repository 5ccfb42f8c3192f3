// A lane's part of the products of SHARED rows of each of two matrices, weights and up, with TOKENS tokens: sums of the first
// as in row_sums.wgsl, then of the second, then those of the tokens' squares. Words: those of row_sums.wgsl.

#import token_unit
#import weight_words weights=up raw_unit=raw_unit_up weight_word=weight_word_up

fn pair_sums(first_row: u32, first_token: u32, lane: u32) -> array<f32, (2 * SHARED + 1) * TOKENS> {
    var sums: array<f32, (2 * SHARED + 1) * TOKENS>;
    for (var unit = lane; unit < params.units; unit += LANES) {
        var raw: array<RawUnit, 2 * SHARED>;
#repeat R SHARED
        raw[R] = raw_unit((first_row + R) * params.row_words, unit);
        raw[SHARED + R] = raw_unit_up((first_row + R) * params.row_words, unit);
#end
        var units: array<Unit, 2 * SHARED>;
#repeat R 2 * SHARED
        units[R] = decoded_unit(raw[R], unit);
#end
#repeat N TOKENS
        {
            let x = token_unit(min(first_token + N, params.tokens - 1u) * params.units + unit);
#repeat R 2 * SHARED
            sums[R * TOKENS + N] += token_dot(units[R], x);
#end
            sums[2 * SHARED * TOKENS + N] += x.head.w;
        }
#end
    }
    return sums;
}
