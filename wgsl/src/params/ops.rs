//! Params of the kernels of `ops`: steps between products.

use bytemuck::{Pod, Zeroable};

use super::Zero;

/// Params of `ops/quantise`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct QuantiseParams {
    /// Units of 32 values.
    pub units: u32,
    /// Vectors of codes before the finer plane; 0 if there is none.
    pub fine_plane: u32,
}

/// Params of `ops/rms_norm`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct RmsNormParams {
    /// Number of runs.
    pub runs: u32,
    /// Values of a run.
    pub cols: u32,
    /// Added to the mean square.
    pub eps: f32,
}

/// Params of `ops/rope`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct RopeParams {
    /// Number of tokens.
    pub tokens: u32,
    /// Heads of a token.
    pub heads: u32,
    /// Values of a head.
    pub head_dim: u32,
    /// Pairs of a head that are rotated.
    pub pairs: u32,
    /// Values from token to token.
    pub row: u32,
    /// 1: pairs are (i, i + pairs); 0: (2i, 2i + 1).
    pub neox: u32,
}

/// Params of `ops/gated_act`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct GatedActParams {
    /// Number of values.
    pub values: u32,
}

/// Params of `ops/soft_cap`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct SoftCapParams {
    /// Number of values.
    pub values: u32,
    /// The cap.
    pub cap: f32,
}

/// Params of `ops/add_scaled`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct AddScaledParams {
    /// Number of values.
    pub values: u32,
    /// Factor on x.
    pub own: f32,
    /// Factor on y.
    pub other: f32,
}

/// Params of `ops/select_rows`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct SelectRowsParams {
    /// Zero.
    pub zero: Zero,
    /// Rows to copy.
    pub rows: u32,
    /// Values of a row.
    pub cols: u32,
}

/// Params of `ops/embed`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct EmbedParams {
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
    /// First row of the table that is bound.
    pub first_row: u32,
    /// Rows that are bound.
    pub rows: u32,
    /// Factor on the rows.
    pub scale: f32,
}

/// Params of `ops/embed_float`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct EmbedFloatParams {
    /// Words from row to row, a multiple of 4.
    pub row_words: u32,
    /// Values of a row, even.
    pub cols: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// First row of the table that is bound.
    pub first_row: u32,
    /// Rows that are bound.
    pub rows: u32,
    /// Factor on the rows.
    pub scale: f32,
}

/// Params of `ops/scale`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct ScaleParams {
    /// Number of values.
    pub values: u32,
    /// The factor.
    pub factor: f32,
}

/// Params of `ops/gated_codes`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct GatedCodesParams {
    /// Units of 32 values.
    pub units: u32,
    /// Vectors of codes before the finer plane; 0 if there is none.
    pub fine_plane: u32,
}

/// Params of `ops/norm_codes`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct NormCodesParams {
    /// Units of 32 values.
    pub units: u32,
    /// Vectors of four values of a row.
    pub vectors: u32,
    /// Vectors of codes before the finer plane; 0 if there is none.
    pub fine_plane: u32,
}

/// Params of `ops/norm_rope`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct NormRopeParams {
    /// Number of runs.
    pub runs: u32,
    /// Values of a run.
    pub cols: u32,
    /// Added to the mean square.
    pub eps: f32,
    /// Heads of a token.
    pub heads: u32,
    /// Pairs of a head that are rotated.
    pub pairs: u32,
    /// 1: pairs are (i, i + pairs); 0: (2i, 2i + 1).
    pub neox: u32,
}
