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

/// Params of `bench/stream`: how much is read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct StreamParams {
    /// Zero.
    pub zero: Zero,
    /// Number of vectors of four words.
    pub vectors: u32,
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
