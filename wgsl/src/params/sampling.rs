//! Params of the kernels of `sampling`: the choice of tokens.

use bytemuck::{Pod, Zeroable};

use super::Zero;

/// Params of `sampling/chunk_maxima`: which rows of logits are looked at.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ChunkMaximaParams {
    /// Zero.
    pub zero: Zero,
    /// Number of rows.
    pub rows: u32,
    /// The first of them.
    pub first_row: u32,
    /// Logits of a row.
    pub n_vocab: u32,
    /// Chunks of 32 in a row.
    pub chunks: u32,
}

/// Params of `sampling/choose`: from which rows of logits tokens are chosen.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ChooseParams {
    /// Zero.
    pub zero: Zero,
    /// The first row.
    pub first_row: u32,
    /// Logits of a row.
    pub n_vocab: u32,
    /// Chunks of 32 in a row.
    pub chunks: u32,
    /// Candidates that there is room for in a row.
    pub room: u32,
}
