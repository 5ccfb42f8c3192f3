// The params of matmul/matvec_float and matmul/tiles_float.

struct FloatProductParams {
    row_words: u32,
    rows: u32,
    tokens: u32,
    x_row: u32,
    first_row: u32,
    out_row: u32,
    bias: u32,
    add: u32,
}
