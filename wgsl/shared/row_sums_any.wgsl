// row_sums of codes of 8 bits, or of 16 bits where params.fine_plane says so.

#import token_unit
#import row_sums
#import token_unit WIDE=true token_unit=token_unit_wide token_dot=token_dot_wide
#import row_sums token_unit=token_unit_wide token_dot=token_dot_wide row_sums=row_sums_wide

fn row_sums_any(first_row: u32, last: u32, first_token: u32, lane: u32) -> array<f32, (SHARED + 1) * TOKENS> {
    if params.fine_plane == 0u {
        return row_sums(first_row, last, first_token, lane);
    }
    return row_sums_wide(first_row, last, first_token, lane);
}
