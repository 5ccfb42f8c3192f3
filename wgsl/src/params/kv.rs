//! Params of the kernels of `kv`: the KV cache.

use bytemuck::{Pod, Zeroable};

use super::Zero;

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

/// Params of `kv/kv_encode_roped`: those of [`KvEncodeParams`], and what is done to K before.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct KvEncodeRopedParams {
    /// Zero.
    pub zero: Zero,
    /// Number of tokens, at most 2^20.
    pub tokens: u32,
    /// Values in a head.
    pub head_dim: [u32; 2],
    /// Vectors of four values from one token to the next.
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
    /// Pairs of a K head that are rotated.
    pub pairs: u32,
    /// Values of a K head that they have: twice as many.
    pub turned: u32,
    /// 1: pairs are (i, i + pairs); 0: (2i, 2i + 1).
    pub neox: u32,
    /// 1 if K heads are normed before.
    pub normed: u32,
    /// Added to the mean square.
    pub eps: f32,
    /// Tokens whose angles come before those of the first one.
    pub first_token: u32,
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
