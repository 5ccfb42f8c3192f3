// The end of a product of TOKENS tokens with 4 rows: adds up the parts of the 32 invocations of every row, and stores.

#import store_sum

var<workgroup> parts: array<f32, TOKENS * 128>;

fn store_rows(sums: array<f32, TOKENS>, first_token: u32, first_row: u32, t: u32) {
#repeat N TOKENS
    parts[N * 128 + t] = sums[N];
#end
    workgroupBarrier();
    let token = first_token + t / 4u;
    let row = first_row + t % 4u;
    if t >= TOKENS * 4 || token >= params.tokens || row >= params.rows {
        return;
    }
    // Invocations of row r hold parts 32 r .. 32 r + 31 of every token.
    let from_part = (t / 4u) * 128u + (t % 4u) * 32u;
    var sum = 0.0;
    for (var i = 0u; i < 32u; i++) {
        sum += parts[from_part + i];
    }
    store_sum(sum, token, row);
}
