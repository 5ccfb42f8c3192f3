// The params of matmul/matvec and matmul/tiles.

struct ProductParams {
    row_words: u32,
    high_plane: u32,
    scales: u32,
    units: u32,
    rows: u32,
    tokens: u32,
    fine_plane: u32,
    first_row: u32,
    out_row: u32,
    bias: u32,
    add: u32,
    normed: u32,
    eps: f32,
}
