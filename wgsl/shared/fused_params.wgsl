// The params of products of few tokens whose results go on as codes: matmul/matvec_residual and matmul/matvec_gated.

struct FusedParams {
    row_words: u32,
    high_plane: u32,
    scales: u32,
    units: u32,
    rows: u32,
    tokens: u32,
    fine_plane: u32,
    first_row: u32,
    out_row: u32,
    next_fine_plane: u32,
    normed: u32,
    eps: f32,
}
