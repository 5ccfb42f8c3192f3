// Adds up what the LANES lanes of each of ROWS rows have: QUANTITIES products, and for every one of TOKENS tokens the
// sum of its squares, which is the same for all rows.

// One more than the lanes from row to row, against bank conflicts.
var<workgroup> parts: array<f32, QUANTITIES * ROWS * (LANES + 1)>;
var<workgroup> square_parts: array<f32, TOKENS * LANES>;

fn store_part(quantity: u32, row: u32, lane: u32, part: f32) {
    parts[(quantity * ROWS + row) * (LANES + 1u) + lane] = part;
}

// What invocation t has of its row: products, then sums of squares.
fn store_parts(sums: array<f32, 2 * TOKENS>, t: u32) {
#repeat N TOKENS
    store_part(N, t / LANES, t % LANES, sums[N]);
#end
    if t < LANES {
#repeat N TOKENS
        square_parts[N * LANES + t] = sums[TOKENS + N];
#end
    }
}

fn row_sum(quantity: u32, row: u32) -> f32 {
    let from_part = (quantity * ROWS + row) * (LANES + 1u);
    var sum = 0.0;
#repeat I LANES
    sum += parts[from_part + I];
#end
    return sum;
}

// The factor of the norm that was left out when the token's codes were made, if one was.
fn norm_factor(token: u32) -> f32 {
    if params.normed == 0u {
        return 1.0;
    }
    var sum = 0.0;
#repeat I LANES
    sum += square_parts[token * LANES + I];
#end
    return 1.0 / sqrt(sum / f32(params.units * 32u) + params.eps);
}
