//! Twin of `wgsl/kernels/attention/attention_prefill_f16.wgsl`: class Bounded, so this is the reference in float64.
//!
//! Of f16 values; those of a coded type are summed as in `attention_prefill`, also when the keys are f16.

use std::ops::Range;

use super::twin::HeadCache;
use super::{attention_combine_f16, attention_decode_f16};

/// The output head of the `visible` keys, which lie in `chunks`; `scores` gives those of some keys of a tile, `logit` is
/// that of the sink.
pub(super) fn head(
    cache: &HeadCache<'_>,
    chunks: Range<usize>,
    visible: &Range<usize>,
    scores: impl Fn(usize, Range<usize>) -> Vec<f64>,
    logit: Option<f32>,
    out: &mut [f32],
) {
    let partial = |chunk| attention_decode_f16::chunk_partial(cache, chunk, visible, &scores);
    attention_combine_f16::combine(&chunks.map(partial).collect::<Vec<_>>(), logit, out);
}
