//! Params of the kernels: the structs that `#params` names.
//!
//! The build compares every one with the layout of its WGSL twin; a field of another name, type or offset does not
//! compile. A kernel of class Exact starts with [`Zero`].

use bytemuck::{Pod, Zeroable};

/// The zero of the opaque xor: known to be 0 by us, not by a shader compiler.
///
/// `opaque(p)` in WGSL is `p` with its bits xored by it, which keeps compilers from fusing `p` into what follows.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Zero(u32);

/// Params of `kv/rotate`: which groups of a matrix of heads are rotated.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct RotateParams {
    /// Zero.
    pub zero: Zero,
    /// 0 forward, 1 inverse.
    pub inverse: u32,
    /// Number of rotation groups in all: heads times groups per head.
    pub groups: u32,
    /// Rotation groups of this size in a head.
    pub groups_per_head: u32,
    /// Vectors of four values from one head to the next: head size / 4.
    pub head_stride: u32,
    /// Vectors of four values before the first group of this size in a head.
    pub first: u32,
}

/// Params of `kv/kv_encode` and `kv/kv_encode_f16`: which heads are stored where.
///
/// Pairs are for the first and the second side. A vector is of four values; of two for f16.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct KvEncodeParams {
    /// Zero.
    pub zero: Zero,
    /// Number of tokens, at most 2^20.
    pub tokens: u32,
    /// Values in a head.
    pub head_dim: [u32; 2],
    /// Vectors from one token to the next.
    pub row: [u32; 2],
    /// Vectors before the first head.
    pub first: [u32; 2],
    /// Words of a block of the pool before the side.
    pub offset: [u32; 2],
    /// Heads of a token, at most 1024.
    pub heads: u32,
    /// Sides that are done: 1 or 2.
    pub sides: u32,
    /// What the first side is: 0 K, 1 V.
    pub first_side: u32,
    /// Tiles of 128 values in the larger head.
    pub tiles: u32,
    /// Words of a block of the pool.
    pub block_words: u32,
    /// First block that the pool has.
    pub first_block: u32,
    /// Number of blocks that it has.
    pub blocks: u32,
    /// Index of the word that faults are reported in.
    pub fault: u32,
}

/// Params of `kv/kv_decode` and `kv/kv_decode_f16`: which heads are read.
///
/// A vector is of four values; of two for f16.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct KvDecodeParams {
    /// Zero.
    pub zero: Zero,
    /// 1 to leave the values rotated; f16 is never rotated.
    pub rotated: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// Heads of a token.
    pub heads: u32,
    /// Values in a head.
    pub head_dim: u32,
    /// Vectors from one token to the next.
    pub row: u32,
    /// Vectors before the first head.
    pub first: u32,
    /// Tiles of 128 values in a head.
    pub tiles: u32,
    /// Words of a block of the pool before the side.
    pub offset: u32,
    /// Words of a block of the pool.
    pub block_words: u32,
    /// First block that the pool has.
    pub first_block: u32,
    /// Number of blocks that it has.
    pub blocks: u32,
}

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
    /// Words of a row of key biases; 0: none.
    pub bias_stride: u32,
}
