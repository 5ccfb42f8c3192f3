// Adds up what the LANES lanes of each of ROWS rows have, token by token: invocation n ROWS + r gets what belongs to row r
// and token n.
//
// Words: TOKENS, LANES, ROWS, SHARED rows of a lane (row_sums.wgsl), MATRICES with as many sums of every row.

// One more than the lanes from row to row, against bank conflicts.
var<workgroup> parts: array<f32, MATRICES * ROWS * (LANES + 1)>;
var<workgroup> square_parts: array<f32, LANES>;

struct Collected {
    sums: array<f32, MATRICES>,
    // 1 / sqrt(mean(x^2) + eps), the factor of the norm that was left out when the token's codes were made, if one was.
    factor: f32,
}

// All invocations call it with sums m SHARED TOKENS + r TOKENS + n of matrix m, row r of the lane's and token n.
fn collect(sums: array<f32, (MATRICES * SHARED + 1) * TOKENS>, t: u32) -> Collected {
    var mine: Collected;
    mine.factor = 1.0;
    let lane = t % LANES;
    let first_row = (t / LANES) * SHARED;
#repeat N TOKENS
#if N != 0
    workgroupBarrier();
#endif
#repeat M MATRICES
#repeat R SHARED
    parts[(M * ROWS + first_row + R) * (LANES + 1u) + lane] = sums[(M * SHARED + R) * TOKENS + N];
#end
#end
    if t < LANES {
        square_parts[lane] = sums[MATRICES * SHARED * TOKENS + N];
    }
    workgroupBarrier();
    if t / ROWS == N {
#repeat M MATRICES
        {
            let from_part = (M * ROWS + t % ROWS) * (LANES + 1u);
            var sum = 0.0;
#repeat I LANES
            sum += parts[from_part + I];
#end
            mine.sums[M] = sum;
        }
#end
        if params.normed != 0u {
            var squares = 0.0;
#repeat I LANES
            squares += square_parts[I];
#end
            mine.factor = 1.0 / sqrt(squares / f32(params.units * 32u) + params.eps);
        }
    }
#end
    return mine;
}
