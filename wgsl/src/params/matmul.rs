//! Params of the kernels of `matmul`: products.

use bytemuck::{Pod, Zeroable};

/// Params of `matmul/matvec` and `matmul/tiles`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct ProductParams {
    /// Words from row to row, a multiple of 4.
    pub row_words: u32,
    /// Words of a row before its plane of high bits.
    pub high_plane: u32,
    /// Words of a row before its scales.
    pub scales: u32,
    /// Units of 32 columns.
    pub units: u32,
    /// Rows of the matrix that are bound.
    pub rows: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// Vectors of codes before the finer plane; 0 if there is none.
    pub fine_plane: u32,
    /// Place of the first row among the outputs of a token.
    pub first_row: u32,
    /// Values from token to token in the output.
    pub out_row: u32,
    /// 1 if there is a bias.
    pub bias: u32,
    /// 1 to add to what the output holds.
    pub add: u32,
    /// 1 if a norm of the activations is still to be divided by.
    pub normed: u32,
    /// What that norm adds to the mean square.
    pub eps: f32,
}

/// Params of `matmul/matvec_residual` and `matmul/matvec_gated`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct FusedParams {
    /// Words from row to row, a multiple of 4.
    pub row_words: u32,
    /// Words of a row before its plane of high bits.
    pub high_plane: u32,
    /// Words of a row before its scales.
    pub scales: u32,
    /// Units of 32 columns.
    pub units: u32,
    /// Rows of the matrix that are bound, a multiple of 32.
    pub rows: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// Vectors of codes before the finer plane; 0 if there is none.
    pub fine_plane: u32,
    /// Place of the first row among the outputs of a token, a multiple of 32.
    pub first_row: u32,
    /// Values from token to token in the output, a multiple of 32.
    pub out_row: u32,
    /// Vectors of the codes that are made before their finer plane; 0 if there is none.
    pub next_fine_plane: u32,
    /// 1 if a norm of the activations is still to be divided by.
    pub normed: u32,
    /// What that norm adds to the mean square.
    pub eps: f32,
}

/// Params of `matmul/matvec_joined`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct JoinedParams {
    /// Rows of the first matrix.
    pub rows: u32,
    /// Rows of the second.
    pub second_rows: u32,
    /// Rows of the third; 0 if there is none.
    pub third_rows: u32,
    /// Words from row to row, a multiple of 4.
    pub row_words: u32,
    /// Words of a row before its plane of high bits.
    pub high_plane: u32,
    /// Words of a row before its scales.
    pub scales: u32,
    /// Units of 32 columns.
    pub units: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// 1 if a norm of the activations is still to be divided by.
    pub normed: u32,
    /// What that norm adds to the mean square.
    pub eps: f32,
}

/// Params of `matmul/matvec_float` and `matmul/tiles_float`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct FloatProductParams {
    /// Words from row to row, a multiple of 4.
    pub row_words: u32,
    /// Rows of the matrix that are bound.
    pub rows: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// Vectors of four values from token to token in x.
    pub x_row: u32,
    /// Place of the first row among the outputs of a token.
    pub first_row: u32,
    /// Values from token to token in the output.
    pub out_row: u32,
    /// 1 if there is a bias.
    pub bias: u32,
    /// 1 to add to what the output holds.
    pub add: u32,
}

/// Params of `matmul/tiles_half`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct TilesHalfParams {
    /// Words from row to row, a multiple of 4.
    pub row_words: u32,
    /// Words of a row before its plane of high bits.
    pub high_plane: u32,
    /// Words of a row before its scales.
    pub scales: u32,
    /// Units of 32 columns, the last of which may be a part.
    pub units: u32,
    /// Rows of the matrix that are bound.
    pub rows: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// Vectors of four f16 from token to token in x, a multiple of 32.
    pub x_row: u32,
    /// Place of the first row among the outputs of a token.
    pub first_row: u32,
    /// Values from token to token in the output.
    pub out_row: u32,
    /// 1 if there is a bias.
    pub bias: u32,
    /// 1 to add to what the output holds.
    pub add: u32,
    /// What weights are multiplied with to become f16, a power of two.
    pub factor: f32,
    /// Its inverse.
    pub inverse: f32,
}

/// Params of `matmul/halves`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct HalvesParams {
    /// Number of tokens.
    pub tokens: u32,
    /// Vectors of four values of a token.
    pub vectors: u32,
    /// Vectors of four f16 from token to token, at least as many.
    pub row: u32,
}
