// The end of a product of 64 tokens with 64 rows: invocation t has tokens t / 16 + 16 j of rows t % 16 + 16 i, as sum
// 4 j + i.

#import store_sum

fn store_tile(sums: array<f32, 16>, first_token: u32, first_row: u32, t: u32) {
#repeat J 4
#repeat I 4
    {
        let token = first_token + t / 16u + 16u * J;
        let row = first_row + t % 16u + 16u * I;
        if token < params.tokens && row < params.rows {
            store_sum(sums[4 * J + I], token, row);
        }
    }
#end
#end
}
