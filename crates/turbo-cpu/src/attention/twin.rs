//! Attention of one query head over one sequence, straight from `docs/exact-attention.md`, without cleverness.
//!
//! The yardstick of the fast path and of the GPU kernels. Exactness class: Exact when K and V are both coded;
//! with f16 on a side, Bounded, and then this is the float64 reference.

use std::ops::Range;

use turbo_backend::{BLOCK_TOKENS, CHUNK_TOKENS, KvLayer};
use turbo_quant::KvType;
use turbo_quant::kv::{Fault, block_shift, levels_head, quantize_query};
use turbo_quant::turbo::exact::f32_from_f16;
use turbo_quant::turbo::rotate::{Direction, rotate_head};

use super::exact::bias::{Factors, bias_score, column_factors, factors};
use super::exact::cap::SoftCap;
use super::exact::score::{block_score, from_log2, sink};
use super::exact::state::State;
use super::exact::tile::{NARROW, ScaleParts, WIDE, denominator, powers, weighted_sum, weights};
use super::exact::{exp2::exp2, fold::Denominator};
use super::key_bias::KeyBiasTable;

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
    Coded { q: Vec<i16>, mults: Vec<f32>, bias: Option<Bias> },
    Plain { q: Vec<f64>, scale_log2: f64 },
}

/// A prepared query of a slot with a key bias: factors of the cosines and sines of the pairs, and the rest.
struct Bias {
    a: Vec<f32>,
    c: Vec<f32>,
    factors: Factors,
}

/// Scores of the visible keys of a tile.
enum Scores {
    Q16(Vec<i32>),
    Log2(Vec<f64>),
}

/// Attention of one query head; `out` receives one V head.
///
/// # Errors
/// [`Fault::NonFinite`] when the query holds inf or nan.
pub fn attend(cache: &HeadCache<'_>, query: &HeadQuery<'_>, out: &mut [f32]) -> Result<(), Fault> {
    let end = query.position + 1;
    let visible = query.window.map_or(0, |w| end.saturating_sub(w))..end;
    let prepared = prepare(cache, query)?;
    if cache.layer.v.kv_type == KvType::F16 {
        attend_f16(cache, query, &prepared, visible, out);
        return Ok(());
    }
    let layout = &cache.layer.v;
    let sizes = layout.kv_type.scale_block_sizes(layout.head_dim);
    let mut total = State::empty(layout.head_dim, sizes.len());
    for chunk in visible.start / CHUNK_TOKENS..visible.end.div_ceil(CHUNK_TOKENS) {
        let mut state = State::empty(layout.head_dim, sizes.len());
        for tile in chunk * CHUNK_TOKENS / BLOCK_TOKENS..(chunk + 1) * CHUNK_TOKENS / BLOCK_TOKENS {
            let keys = visible_in(tile, &visible);
            if keys.is_empty() {
                continue;
            }
            let Scores::Q16(scores) = scores(cache, query, &prepared, tile, keys.clone(), true) else { continue };
            state.fold(&tile_part(cache, tile, keys, &scores, &sizes), &sizes);
        }
        total.fold(&state, &sizes);
    }
    if let Some(logit) = query.sink {
        let power = exp2(sink(logit));
        total.denominator = total.denominator.fold(Denominator { l: power.mantissa, e: power.exponent });
    }
    let shifts: Vec<i32> = sizes.iter().map(|&n| block_shift(layout.kv_type, n)).collect();
    total.output(width(layout.kv_type).bits, &sizes, &shifts, out);
    rotate_head(out, Direction::Inverse);
    Ok(())
}

fn width(v_type: KvType) -> super::exact::tile::WeightWidth {
    if v_type == KvType::Q8_0 { WIDE } else { NARROW }
}

/// Visible keys of a tile, counted from its start.
fn visible_in(tile: usize, visible: &Range<usize>) -> Range<usize> {
    let start = tile * BLOCK_TOKENS;
    let at = |position: usize| position.clamp(start, start + BLOCK_TOKENS) - start;
    at(visible.start)..at(visible.end)
}

fn prepare(cache: &HeadCache<'_>, query: &HeadQuery<'_>) -> Result<Query, Fault> {
    let layer = cache.layer;
    if layer.k.kv_type == KvType::F16 {
        if query.q.iter().any(|v| !v.is_finite()) {
            return Err(Fault::NonFinite);
        }
        let scale_log2 = f64::from(query.scale) * std::f64::consts::LOG2_E;
        return Ok(Query::Plain { q: query.q.iter().map(|&v| f64::from(v)).collect(), scale_log2 });
    }
    let d = query.q.len();
    let mut q = vec![0; d];
    let codes = quantize_query(query.q, layer.k.kv_type == KvType::Q8_0, &mut q, &mut vec![0.0; d])?;
    let scale = (f64::from(query.scale) * std::f64::consts::LOG2_E) as f32;
    let sizes = layer.k.kv_type.scale_block_sizes(d);
    let mults = sizes.iter().map(|&n| codes.score_mult(scale, layer.k.kv_type, n)).collect();
    let bias = cache.key_bias.map(|table| {
        let (mut a, mut c) = (vec![0.0; table.turns.width()], vec![0.0; table.turns.width()]);
        let factors = factors(table, cache.kv_head, query.q, scale, &mut a, &mut c);
        Bias { a, c, factors }
    });
    Ok(Query::Coded { q, mults, bias })
}

/// Scores of the keys of a tile; in Q16 where the query is coded or `integers` are asked for.
fn scores(
    cache: &HeadCache<'_>,
    query: &HeadQuery<'_>,
    prepared: &Query,
    tile: usize,
    keys: Range<usize>,
    integers: bool,
) -> Scores {
    let cap = query.soft_cap.map(SoftCap::new);
    let capped = |s: i32| cap.map_or(s, |cap| cap.apply(s));
    match prepared {
        Query::Coded { q, mults, bias } => {
            let mut scores: Vec<i32> = keys.clone().map(|t| coded_score(cache, q, mults, tile, t)).collect();
            if let (Some(table), Some(Bias { a, c, factors })) = (cache.key_bias, bias) {
                let columns = column_factors(table, tile, a, c, *factors);
                for (score, t) in scores.iter_mut().zip(keys) {
                    *score += bias_score(table, &columns, t, factors.mult);
                }
            }
            Scores::Q16(scores.into_iter().map(capped).collect())
        }
        Query::Plain { q, scale_log2 } => {
            let plain = |t| dot_f16(cache, q, tile, t) * scale_log2;
            if integers {
                return Scores::Q16(keys.map(|t| capped(from_log2(plain(t) as f32))).collect());
            }
            let unit = query.soft_cap.map(|c| f64::from(c) * std::f64::consts::LOG2_E);
            Scores::Log2(keys.map(plain).map(|x| unit.map_or(x, |u| u * (x / u).tanh())).collect())
        }
    }
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

/// Values of the f16 head of token `t`.
fn f16_head(codes: &[u32], words: usize, t: usize) -> impl Iterator<Item = f64> {
    codes[t * words..][..words].iter().flat_map(|&w| [w as u16, (w >> 16) as u16]).map(|h| f64::from(f32_from_f16(h)))
}

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

/// The reference of V f16, in float64.
fn attend_f16(cache: &HeadCache<'_>, query: &HeadQuery<'_>, prepared: &Query, visible: Range<usize>, out: &mut [f32]) {
    let layout = &cache.layer.v;
    let tiles = visible.start / BLOCK_TOKENS..visible.end.div_ceil(BLOCK_TOKENS);
    let mut keys = Vec::new();
    for tile in tiles {
        let range = visible_in(tile, &visible);
        let scores = match scores(cache, query, prepared, tile, range.clone(), false) {
            Scores::Q16(s) => s.iter().map(|&s| f64::from(s) / 65536.0).collect(),
            Scores::Log2(s) => s,
        };
        keys.extend(range.map(|t| (tile, t)).zip(scores));
    }
    let sink = query.sink.map(|logit| f64::from(logit) * std::f64::consts::LOG2_E);
    let largest = keys.iter().map(|&(_, s)| s).chain(sink).fold(f64::NEG_INFINITY, f64::max);
    let mut sums = vec![0.0; layout.head_dim];
    let mut denominator = sink.map_or(0.0, |s| (s - largest).exp2());
    for ((tile, t), s) in keys {
        let p = (s - largest).exp2();
        denominator += p;
        let (codes, _) = layout.unit(cache.v_pool, cache.blocks[tile] as usize, cache.kv_head);
        for (sum, v) in sums.iter_mut().zip(f16_head(codes, layout.code_words, t)) {
            *sum += p * v;
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = if denominator > 0.0 { (sum / denominator) as f32 } else { 0.0 };
    }
}
