// The params of matmul/matvec_joined.

struct JoinedParams {
    rows: u32,
    second_rows: u32,
    third_rows: u32,
    row_words: u32,
    high_plane: u32,
    scales: u32,
    units: u32,
    tokens: u32,
    normed: u32,
    eps: f32,
}
