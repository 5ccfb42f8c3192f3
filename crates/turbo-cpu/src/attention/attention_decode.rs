//! Twin of `wgsl/kernels/attention/attention_decode.wgsl`: class Exact. `docs/exact-attention.md`, sections 6 to 9.

use std::ops::Range;

use turbo_backend::{BLOCK_TOKENS, CHUNK_TOKENS};
use turbo_quant::KvType;
use turbo_quant::kv::{Fault, levels_head};
use turbo_quant::turbo::exact::f32_from_f16;

use super::exact::cap::SoftCap;
use super::exact::score::block_score;
use super::exact::state::State;
use super::exact::tile::{NARROW, ScaleParts, WIDE, WeightWidth, denominator, powers, weighted_sum, weights};
use super::key_bias::BiasQuery;
use super::query_codes::{QueryCodes, query_codes};
use super::twin::{HeadCache, HeadQuery};

/// A query for coded keys.
pub(super) struct CodedQuery {
    codes: QueryCodes,
    bias: Option<BiasQuery>,
    cap: Option<SoftCap>,
}

impl CodedQuery {
    pub(super) fn new(cache: &HeadCache<'_>, query: &HeadQuery<'_>) -> Result<Self, Fault> {
        let codes = query_codes(cache.layer.k.kv_type, query.scale, query.q)?;
        let bias = cache.key_bias.map(|table| BiasQuery::new(table, cache.kv_head, query.scale, query.q));
        Ok(Self { codes, bias, cap: query.soft_cap.map(SoftCap::new) })
    }

    /// Q16 log2 scores of keys of a tile.
    pub(super) fn scores(&self, cache: &HeadCache<'_>, tile: usize, keys: Range<usize>) -> Vec<i32> {
        let QueryCodes { codes, mults } = &self.codes;
        let mut scores: Vec<i32> = keys.clone().map(|t| coded_score(cache, codes, mults, tile, t)).collect();
        if let (Some(table), Some(bias)) = (cache.key_bias, &self.bias) {
            scores.iter_mut().zip(bias.scores(table, tile, keys)).for_each(|(score, part)| *score += part);
        }
        if let Some(cap) = &self.cap {
            scores.iter_mut().for_each(|s| *s = cap.apply(*s));
        }
        scores
    }
}

/// What the `visible` keys of one chunk add up to; `scores` gives those of some keys of a tile.
pub(super) fn chunk_partial(
    cache: &HeadCache<'_>,
    chunk: usize,
    visible: &Range<usize>,
    scores: impl Fn(usize, Range<usize>) -> Vec<i32>,
) -> State {
    let layout = &cache.layer.v;
    let sizes = layout.kv_type.scale_block_sizes(layout.head_dim);
    let mut state = State::empty(layout.head_dim, sizes.len());
    for (tile, keys) in tiles(chunk, visible) {
        state.fold(&tile_part(cache, tile, keys.clone(), &scores(tile, keys), &sizes), &sizes);
    }
    state
}

/// Tiles of a chunk with visible keys, and those keys counted from the start of the tile.
pub(super) fn tiles(chunk: usize, visible: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
    let tiles = chunk * CHUNK_TOKENS / BLOCK_TOKENS..(chunk + 1) * CHUNK_TOKENS / BLOCK_TOKENS;
    tiles.map(|tile| (tile, visible_in(tile, visible))).filter(|(_, keys)| !keys.is_empty())
}

/// Integer width of the weights of values of `v_type`.
pub(super) fn width(v_type: KvType) -> WeightWidth {
    if v_type == KvType::Q8_0 { WIDE } else { NARROW }
}

/// Visible keys of a tile, counted from its start.
fn visible_in(tile: usize, visible: &Range<usize>) -> Range<usize> {
    let start = tile * BLOCK_TOKENS;
    let at = |position: usize| position.clamp(start, start + BLOCK_TOKENS) - start;
    at(visible.start)..at(visible.end)
}

fn coded_score(cache: &HeadCache<'_>, q: &[i16], mults: &[f32], tile: usize, t: usize) -> i32 {
    let layout = &cache.layer.k;
    let (codes, scales) = layout.unit(cache.k_pool, cache.blocks[tile] as usize, cache.kv_head);
    let mut levels = vec![0; layout.head_dim];
    levels_head(layout.kv_type, layout.head_dim, &codes[t * layout.code_words..][..layout.code_words], &mut levels);
    let sizes = layout.kv_type.scale_block_sizes(layout.head_dim);
    let (mut at, mut s) = (0, 0);
    for (b, (&n, &mult)) in sizes.iter().zip(mults).enumerate() {
        let products = q[at..at + n].iter().zip(&levels[at..at + n]);
        let idot = products.map(|(&q, &level)| i32::from(q) * i32::from(level)).sum();
        s += block_score(idot, f32_from_f16(scale_bits(scales, b, t)), mult);
        at += n;
    }
    s
}

/// f16 bits of the scale of block `b` of token `t` of a unit.
fn scale_bits(scales: &[u32], b: usize, t: usize) -> u16 {
    (scales[b * BLOCK_TOKENS / 2 + t / 2] >> (16 * (t % 2))) as u16
}

fn tile_part(cache: &HeadCache<'_>, tile: usize, keys: Range<usize>, scores: &[i32], sizes: &[usize]) -> State {
    let layout = &cache.layer.v;
    let (codes, scales) = layout.unit(cache.v_pool, cache.blocks[tile] as usize, cache.kv_head);
    let mut levels = vec![0; keys.len() * layout.head_dim];
    for (t, levels) in keys.clone().zip(levels.chunks_mut(layout.head_dim)) {
        levels_head(layout.kv_type, layout.head_dim, &codes[t * layout.code_words..][..layout.code_words], levels);
    }
    let powers = powers(scores);
    let mut part = State::empty(layout.head_dim, sizes.len());
    part.denominator = denominator(&powers);
    let mut at = 0;
    for (b, &n) in sizes.iter().enumerate() {
        let block_scales: Vec<_> = keys.clone().map(|t| ScaleParts::new(scale_bits(scales, b, t))).collect();
        let (w, frame) = weights(&powers, &block_scales, width(layout.kv_type));
        part.frames[b] = frame;
        for i in at..at + n {
            part.values[i] = weighted_sum(&w, levels.iter().skip(i).step_by(layout.head_dim).copied());
        }
        at += n;
    }
    part
}
