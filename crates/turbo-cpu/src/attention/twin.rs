//! Attention of one query head over one sequence, straight from `docs/exact-attention.md`, without cleverness.
//!
//! The yardstick of the fast path and of the GPU kernels, put together from the twins of these. Exactness class: Exact
//! when K and V are both coded; with f16 on a side, Bounded, and then this is the float64 reference.

use std::ops::Range;

use turbo_backend::{CHUNK_TOKENS, KvLayer};
use turbo_quant::KvType;
use turbo_quant::kv::Fault;

use super::attention_decode::CodedQuery;
use super::attention_decode_f16::PlainQuery;
use super::{attention_prefill, attention_prefill_f16};
use turbo_backend::key_bias::KeyBiasTable;

/// The cache of one K/V head of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct HeadCache<'a> {
    /// Types and sizes.
    pub layer: &'a KvLayer,
    /// Words of the K pool.
    pub k_pool: &'a [u32],
    /// Words of the V pool.
    pub v_pool: &'a [u32],
    /// Block `i` holds positions `64 * i ..`.
    pub blocks: &'a [u32],
    /// Which K/V head.
    pub kv_head: usize,
    /// What the stored keys lack, if anything.
    pub key_bias: Option<KeyBiasTable<'a>>,
}

/// What one query head asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadQuery<'a> {
    /// The query after rope, not rotated.
    pub q: &'a [f32],
    /// Its position; keys at and before it are visible.
    pub position: usize,
    /// Factor on q . k.
    pub scale: f32,
    /// Only the last so many positions are visible.
    pub window: Option<usize>,
    /// Scores become cap * tanh(score / cap).
    pub soft_cap: Option<f32>,
    /// An extra logit without a value.
    pub sink: Option<f32>,
}

/// A prepared query.
enum Query {
    Coded(CodedQuery),
    Plain(PlainQuery),
}

/// Attention of one query head; `out` receives one V head.
///
/// # Errors
/// [`Fault::NonFinite`] when the query holds inf or nan.
pub fn attend(cache: &HeadCache<'_>, query: &HeadQuery<'_>, out: &mut [f32]) -> Result<(), Fault> {
    let end = query.position + 1;
    let visible = query.window.map_or(0, |w| end.saturating_sub(w))..end;
    let prepared = match cache.layer.k.kv_type {
        KvType::F16 => Query::Plain(PlainQuery::new(query)?),
        _ => Query::Coded(CodedQuery::new(cache, query)?),
    };
    let chunks = visible.start / CHUNK_TOKENS..visible.end.div_ceil(CHUNK_TOKENS);
    if cache.layer.v.kv_type == KvType::F16 {
        let scores = |tile: usize, keys: Range<usize>| match &prepared {
            Query::Plain(q) => q.scores(cache, tile, keys),
            Query::Coded(q) => q.scores(cache, tile, keys).iter().map(|&s| f64::from(s) / 65536.0).collect(),
        };
        attention_prefill_f16::head(cache, chunks, &visible, scores, query.sink, out);
    } else {
        let scores = |tile: usize, keys: Range<usize>| match &prepared {
            Query::Plain(q) => q.scores_q16(cache, tile, keys),
            Query::Coded(q) => q.scores(cache, tile, keys),
        };
        attention_prefill::head(cache, chunks, &visible, scores, query.sink, out);
    }
    Ok(())
}
