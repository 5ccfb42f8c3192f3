//! Twin of `wgsl/kernels/attention/attention_prefill.wgsl`: class Exact. `docs/exact-attention.md`, sections 6 to 10.
//!
//! The kernel keeps a running state per row where attention_decode hands one per chunk to attention_combine; chunks are
//! folded in the same order, so the bits are those of these two.

use std::ops::Range;

use super::twin::HeadCache;
use super::{attention_combine, attention_decode};

/// The output head of the `visible` keys, which lie in `chunks`; `scores` gives those of some keys of a tile, `logit` is
/// that of the sink.
pub(super) fn head(
    cache: &HeadCache<'_>,
    chunks: Range<usize>,
    visible: &Range<usize>,
    scores: impl Fn(usize, Range<usize>) -> Vec<i32>,
    logit: Option<f32>,
    out: &mut [f32],
) {
    let partials = chunks.map(|chunk| attention_decode::chunk_partial(cache, chunk, visible, &scores));
    attention_combine::combine(&cache.layer.v, partials, logit, out);
}
