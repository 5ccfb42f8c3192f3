//! Attention over the KV cache: storing heads, and every K/V pair of the cache types.
//!
//! `docs/exact-attention.md` is the specification. Pairs of coded types are Exact: [`attention`] gives the bits of
//! [`twin::attend`] with any number of threads, any split of the tokens and any instruction set. With f16 on a
//! side the result is Bounded (f32 arithmetic), but still independent of threads, splits and batches.
//!
//! How the work is cut: a task is one K/V head and a few query tokens; it expands every tile of 64 keys once to
//! integer levels and uses it for all its query rows. When there are too few tasks for the threads, the chunks of
//! 256 keys are dealt out too, and their states folded in the order of the chunks, which is the order in which a
//! single task folds them.

pub mod attention_combine_codes;
pub mod attention_short;
pub mod exact;
pub mod key_bias;
pub mod query_codes;
pub mod query_codes_roped;
pub mod twin;

mod attention_combine;
mod attention_combine_f16;
mod attention_decode;
mod attention_decode_f16;
mod attention_prefill;
mod attention_prefill_f16;
mod float_sums;
mod fold_sums;
mod query;
mod run;
mod shape;
mod simd;
mod span;
mod tiles;
mod write;

pub use run::{attention, attention_with};
pub use simd::Simd;
pub use turbo_backend::key_bias::{KeyBiasTable, KeyTurns, SlotBias};
pub use write::{KvFault, kv_write};

use turbo_backend::KvLayer;

/// Attention of the new tokens of one sequence over one cache slot.
pub struct AttentionJob<'a> {
    /// Types and sizes of the slot.
    pub layer: &'a KvLayer,
    /// Words of its K pool.
    pub k_pool: &'a [u32],
    /// Words of its V pool.
    pub v_pool: &'a [u32],
    /// Block table: block `i` holds positions `64 * i ..`.
    pub blocks: &'a [u32],
    /// Position of the first query.
    pub start: usize,
    /// Number of query tokens. Their own K and V are in the cache already.
    pub n_tokens: usize,
    /// Queries after rope, not rotated: [n_tokens][n_heads * head_dim_k].
    pub q: &'a [f32],
    /// Query heads, a multiple of the slot's K/V heads.
    pub n_heads: usize,
    /// Factor on q . k before the softmax.
    pub scale: f32,
    /// A query at position p sees keys above p - window; all earlier ones if `None`.
    pub window: Option<usize>,
    /// Scores become cap * tanh(score / cap).
    pub soft_cap: Option<f32>,
    /// One logit per query head that takes part in the softmax without a value.
    pub sinks: Option<&'a [f32]>,
    /// What the stored keys lack, if anything.
    pub key_bias: Option<KeyBiasTable<'a>>,
    /// Receives [n_tokens][n_heads * head_dim_v].
    pub out: &'a mut [f32],
}

/// A query holds inf or nan; the output is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error(
    "found inf or nan in the query of token {token}, head {head}, expected finite values: the model's weights or its computation are broken"
)]
pub struct AttentionFault {
    /// Token of the job, from 0.
    pub token: usize,
    /// Query head.
    pub head: usize,
}
