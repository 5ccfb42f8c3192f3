//! Inner loops of key biases: the part of the scores of coded keys, and the keys of f16 themselves.

use turbo_backend::BLOCK_TOKENS as TILE;
use turbo_backend::plan::RopeStyle;

use super::body::Keys;
use crate::attention::exact::bias::{Factors, flushed, tree};
use crate::attention::exact::score::WHOLE;
use turbo_backend::key_bias::POLYNOMIALS;

/// One query row with the bias of its K/V head.
#[derive(Clone, Copy)]
pub(crate) struct BiasRow<'a> {
    /// Factors of the cosines, then of the sines, of all pairs.
    pub(crate) factors: &'a [f32],
    /// The rest.
    pub(crate) row: Factors,
}

/// The constants of a tile.
#[derive(Clone, Copy)]
pub(crate) struct BiasTile<'a> {
    /// Cosines and sines of the middle of the tile.
    pub(crate) cos: &'a [f32],
    pub(crate) sin: &'a [f32],
    /// How many pairs are fast.
    pub(crate) fast: usize,
    /// [polynomial][slow pair].
    pub(crate) weights: &'a [f32],
    /// Cosine and sine of every fast pair, then polynomials.
    pub(crate) columns: &'a [Keys<f32>],
}

/// Adds the bias part to the Q16 scores of a tile. `scratch` takes as many values as the row has factors. The sums
/// of `PART` keys stay in registers.
#[inline(always)]
pub(super) fn add_bias<const PART: usize>(
    row: BiasRow<'_>,
    tile: BiasTile<'_>,
    scratch: &mut [f32],
    scores: &mut Keys<i32>,
) {
    let width = tile.cos.len();
    let (a, c) = row.factors.split_at(width);
    let (turned_a, turned_c) = scratch.split_at_mut(width);
    turn(a, c, tile.cos, tile.sin, turned_a, turned_c);
    let slow = polynomial_factors(&turned_a[tile.fast..], &turned_c[tile.fast..], tile.weights, row.row.constant);
    for part in 0..TILE / PART {
        let mut sums = [0.0; PART];
        let mut add = |factor: f32, column: &Keys<f32>| {
            for (sum, v) in sums.iter_mut().zip(&column.as_chunks::<PART>().0[part]) {
                *sum += factor * v;
            }
        };
        let (columns, polynomials) = tile.columns.split_at(2 * tile.fast);
        for (pair, (&a, &c)) in columns.as_chunks::<2>().0.iter().zip(turned_a.iter().zip(&*turned_c)) {
            add(a, &pair[0]);
            add(c, &pair[1]);
        }
        for (column, &factor) in polynomials.iter().zip(&slow) {
            add(factor, column);
        }
        for (score, sum) in scores[part * PART..].iter_mut().zip(sums) {
            let t = sum * row.row.mult;
            let kept = if t > -WHOLE { t.min(WHOLE) } else { -WHOLE };
            // SAFETY: `kept` is within +-2^29 and never nan. The checked conversion is not vectorised.
            *score += unsafe { kept.round_ties_even().to_int_unchecked::<i32>() };
        }
    }
}

/// The factors for positions counted from the middle of the tile.
#[inline(always)]
fn turn(a: &[f32], c: &[f32], cos: &[f32], sin: &[f32], out_a: &mut [f32], out_c: &mut [f32]) {
    let n = a.len();
    let (c, cos, sin, out_a, out_c) = (&c[..n], &cos[..n], &sin[..n], &mut out_a[..n], &mut out_c[..n]);
    for i in 0..n {
        out_a[i] = flushed(a[i] * cos[i] + c[i] * sin[i]);
        out_c[i] = flushed(c[i] * cos[i] - a[i] * sin[i]);
    }
}

/// Factors of the polynomials that the slow pairs and the constant give.
#[inline(always)]
fn polynomial_factors(a: &[f32], c: &[f32], weights: &[f32], constant: f32) -> [f32; POLYNOMIALS] {
    let mut sums = [[0.0; 8]; POLYNOMIALS];
    let slow = a.len();
    for (at, (a, c)) in a.as_chunks::<8>().0.iter().zip(c.as_chunks::<8>().0).enumerate() {
        for (k, sums) in sums.iter_mut().enumerate() {
            let Some(weights) = weights[k * slow + 8 * at..].first_chunk::<8>() else { break };
            let from = if k % 2 == 0 { a } else { c };
            for i in 0..8 {
                sums[i] += from[i] * weights[i];
            }
        }
    }
    let mut out = sums.map(tree);
    out[0] += constant;
    out.map(flushed)
}

/// Adds the bias to an f16 key in f32. `turned` is the bias at the middle of the tile, `cos` and `sin` turn it on.
#[inline(always)]
pub(super) fn turn_key(style: RopeStyle, turned: &[f32], cos: &[f32], sin: &[f32], key: &mut [f32]) {
    let pairs = cos.len();
    let (key, rest) = key.split_at_mut(2 * pairs);
    let (bx, by) = (&turned[..pairs], &turned[pairs..2 * pairs]);
    for (k, &b) in rest.iter_mut().zip(&turned[2 * pairs..]) {
        *k += b;
    }
    let sin = &sin[..pairs];
    match style {
        RopeStyle::Neox => {
            let (kx, ky) = key.split_at_mut(pairs);
            for i in 0..pairs {
                kx[i] += bx[i] * cos[i] - by[i] * sin[i];
                ky[i] += bx[i] * sin[i] + by[i] * cos[i];
            }
        }
        RopeStyle::Interleaved => {
            for (i, k) in key.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                k[0] += bx[i] * cos[i] - by[i] * sin[i];
                k[1] += bx[i] * sin[i] + by[i] * cos[i];
            }
        }
    }
}
