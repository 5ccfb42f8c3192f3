//! Twin of `wgsl/kernels/attention/attention_decode_f16.wgsl`: class Bounded, so this is the reference in float64.

use std::ops::Range;

use turbo_backend::BLOCK_TOKENS;
use turbo_quant::kv::Fault;
use turbo_quant::turbo::exact::f32_from_f16;

use super::attention_decode::tiles;
use super::exact::cap::SoftCap;
use super::exact::score::from_log2;
use super::twin::{HeadCache, HeadQuery};

/// A query for f16 keys.
pub(super) struct PlainQuery {
    q: Vec<f64>,
    scale_log2: f64,
    cap: Option<f32>,
}

impl PlainQuery {
    pub(super) fn new(query: &HeadQuery<'_>) -> Result<Self, Fault> {
        if query.q.iter().any(|v| !v.is_finite()) {
            return Err(Fault::NonFinite);
        }
        let scale_log2 = f64::from(query.scale) * std::f64::consts::LOG2_E;
        Ok(Self { q: query.q.iter().map(|&v| f64::from(v)).collect(), scale_log2, cap: query.soft_cap })
    }

    /// Log2 scores of keys of a tile, for f16 values.
    pub(super) fn scores(&self, cache: &HeadCache<'_>, tile: usize, keys: Range<usize>) -> Vec<f64> {
        let unit = self.cap.map(|c| f64::from(c) * std::f64::consts::LOG2_E);
        let plain = keys.map(|t| dot_f16(cache, &self.q, tile, t) * self.scale_log2);
        plain.map(|x| unit.map_or(x, |u| u * (x / u).tanh())).collect()
    }

    /// The same in Q16, for coded values.
    pub(super) fn scores_q16(&self, cache: &HeadCache<'_>, tile: usize, keys: Range<usize>) -> Vec<i32> {
        let cap = self.cap.map(SoftCap::new);
        let plain = keys.map(|t| from_log2((dot_f16(cache, &self.q, tile, t) * self.scale_log2) as f32));
        plain.map(|s| cap.as_ref().map_or(s, |cap| cap.apply(s))).collect()
    }
}

/// What some keys with f16 values add up to.
pub(super) struct FloatPart {
    /// Largest score in log2 units, -inf of no key.
    pub(super) largest: f64,
    /// Sum of the powers, relative to 2^largest.
    pub(super) denominator: f64,
    /// Weighted values, relative to 2^largest.
    pub(super) sums: Vec<f64>,
}

/// What the `visible` keys of one chunk add up to; `scores` gives those of some keys of a tile.
pub(super) fn chunk_partial(
    cache: &HeadCache<'_>,
    chunk: usize,
    visible: &Range<usize>,
    scores: impl Fn(usize, Range<usize>) -> Vec<f64>,
) -> FloatPart {
    let layout = &cache.layer.v;
    let tiles = tiles(chunk, visible);
    let keys: Vec<(usize, usize, f64)> = tiles
        .flat_map(|(tile, keys)| {
            let scores = scores(tile, keys.clone());
            keys.zip(scores).map(move |(t, s)| (tile, t, s))
        })
        .collect();
    let largest = keys.iter().map(|&(.., s)| s).fold(f64::NEG_INFINITY, f64::max);
    let mut part = FloatPart { largest, denominator: 0.0, sums: vec![0.0; layout.head_dim] };
    for (tile, t, s) in keys {
        let p = (s - largest).exp2();
        part.denominator += p;
        let (codes, _) = layout.unit(cache.v_pool, cache.blocks[tile] as usize, cache.kv_head);
        for (sum, v) in part.sums.iter_mut().zip(f16_head(codes, layout.code_words, t)) {
            *sum += p * v;
        }
    }
    part
}

/// Values of the f16 head of token `t`.
fn f16_head(codes: &[u32], words: usize, t: usize) -> impl Iterator<Item = f64> {
    codes[t * words..][..words].iter().flat_map(|&w| [w as u16, (w >> 16) as u16]).map(|h| f64::from(f32_from_f16(h)))
}

/// q . k with the key `t` of a tile.
fn dot_f16(cache: &HeadCache<'_>, q: &[f64], tile: usize, t: usize) -> f64 {
    let layout = &cache.layer.k;
    let (codes, _) = layout.unit(cache.k_pool, cache.blocks[tile] as usize, cache.kv_head);
    let mut key: Vec<f64> = f16_head(codes, layout.code_words, t).collect();
    if let Some(table) = cache.key_bias {
        let bias = table.key(cache.kv_head, tile * BLOCK_TOKENS + t);
        key.iter_mut().zip(bias).for_each(|(k, b)| *k += b);
    }
    key.iter().zip(q).map(|(k, q)| k * q).sum()
}
