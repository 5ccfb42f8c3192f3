//! Params of the kernels of `attention`: attention.

use bytemuck::{Pod, Zeroable};

use super::Zero;

/// Params of the kernels of the family `attention`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct AttentionParams {
    /// Zero.
    pub zero: Zero,
    /// Number of sequences.
    pub sequences: u32,
    /// K/V heads.
    pub kv_heads: u32,
    /// Query heads of a K/V head.
    pub group: u32,
    /// Values of a K head.
    pub head_dim_k: u32,
    /// Values of a V head.
    pub head_dim_v: u32,
    /// Words of codes of a K head of a token.
    pub k_words: u32,
    /// Words of codes of a V head of a token.
    pub v_words: u32,
    /// Words of a K unit: one head of one block.
    pub k_unit: u32,
    /// Words of a V unit.
    pub v_unit: u32,
    /// Words from one block of the K pool to the next.
    pub k_block: u32,
    /// Words from one block of the V pool to the next.
    pub v_block: u32,
    /// Words of a block before its K units.
    pub k_first: u32,
    /// Words of a block before its V units.
    pub v_first: u32,
    /// A query sees the last so many positions; 0: all.
    pub window: u32,
    /// Soft cap in Q16 log2 units; 0: none.
    pub cap_limit: u32,
    /// f32 nearest 2 / soft cap.
    pub cap_factor: f32,
    /// f32 nearest softmax scale * log2(e).
    pub score_factor: f32,
    /// Workgroups for the rows of a K/V head.
    pub row_groups: u32,
    /// Workgroups along the keys.
    pub spans: u32,
    /// Chunks of a workgroup.
    pub span_chunks: u32,
    /// Partials of a row.
    pub slots: u32,
    /// Scale blocks of a K head.
    pub k_blocks: u32,
    /// Scale blocks of a V head; 1 for f16.
    pub v_blocks: u32,
    /// Query heads of all tokens.
    pub rows: u32,
    /// 1 if there are attention sinks.
    pub sinks: u32,
    /// Parts of scores of a row that `attention/key_bias` makes: 256 for each of its slots; 0 without a key bias.
    pub key_bias: u32,
    /// Of results as codes: vectors of codes before the finer plane; 0 if there is none.
    pub fine_plane: u32,
}

/// Params of `attention/query_codes` and `attention/query_codes_roped`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct QueryCodesParams {
    /// Zero.
    pub zero: Zero,
    /// Query heads of all tokens.
    pub rows: u32,
    /// Values of a head.
    pub head_dim: u32,
    /// Scale blocks of a K head.
    pub k_blocks: u32,
    /// f32 nearest softmax scale * log2(e).
    pub score_factor: f32,
    /// Query heads of a token; this and the rest for `query_codes_roped` alone.
    pub heads: u32,
    /// Pairs of a head that are rotated.
    pub pairs: u32,
    /// Values of a head that they have: twice as many.
    pub turned: u32,
    /// 1: pairs are (i, i + pairs); 0: (2i, 2i + 1).
    pub neox: u32,
    /// 1 if heads are normed before.
    pub normed: u32,
    /// Added to the mean square.
    pub eps: f32,
    /// Tokens whose angles come before those of the first one.
    pub first_token: u32,
}

/// Params of `attention/key_bias`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct KeyBiasParams {
    /// Zero.
    pub zero: Zero,
    /// Number of sequences.
    pub sequences: u32,
    /// Query heads.
    pub heads: u32,
    /// Query heads of a K/V head.
    pub group: u32,
    /// Values of a K head.
    pub head_dim: u32,
    /// Values of a K head that are rotated, from its start on.
    pub rotated: u32,
    /// Pairs that are fast.
    pub fast: u32,
    /// All pairs, the slow ones padded.
    pub width: u32,
    /// A query sees the last so many positions; 0: all.
    pub window: u32,
    /// First row that is done.
    pub first_row: u32,
    /// Number of rows.
    pub rows: u32,
    /// Chunks of a row in the result.
    pub slots: u32,
    /// Workgroups of a row.
    pub spans: u32,
    /// Chunks of a workgroup.
    pub span_chunks: u32,
    /// f32 nearest softmax scale * log2(e).
    pub score_factor: f32,
}
