//! The inner loops in plain Rust. Compiled once per instruction set; the integer ones give the same bits each time.
//!
//! A tile always has 64 slots; slots of hidden keys hold anything and get no weight.

use turbo_backend::BLOCK_TOKENS as TILE;

use crate::attention::exact::exp2::exp2;
use crate::attention::exact::fold::{Denominator, Frame, Shifts};
use crate::attention::exact::score::LIMIT;
use crate::attention::exact::tile::{ScaleParts, WeightWidth};

/// What is added to a level to make it a u8.
pub(super) const BIAS: i32 = 128;

/// One value per key of a tile.
pub(crate) type Keys<T> = [T; TILE];

/// One query row as the score kernels want it.
#[derive(Clone, Copy)]
pub(crate) struct ScoreRow<'a> {
    /// The query in one i8 plane, or in two (high, low) with q = 255 * high + low.
    pub(crate) planes: &'a [i8],
    /// -128 * the sum of each scale block of each plane.
    pub(crate) bias: &'a [i32],
    /// Factor of every scale block.
    pub(crate) mults: &'a [f32],
}

/// A K tile as the score kernels want it.
#[derive(Clone, Copy)]
pub(crate) struct ScoreTile<'a> {
    /// Levels + 128, as [head_dim / 4][key][4].
    pub(crate) levels: &'a [u8],
    /// Scales, as [scale block][key].
    pub(crate) scales: &'a [Keys<f32>],
    /// Sizes of the scale blocks.
    pub(crate) sizes: &'a [usize],
}

/// A V tile's scales of one scale block, taken apart.
#[derive(Clone, Copy)]
pub(crate) struct ScaleKeys {
    /// Mantissas.
    pub(crate) h: Keys<u32>,
    /// Exponents.
    pub(crate) x: Keys<i32>,
    /// -1 where negative, else 0.
    pub(crate) sign: Keys<i32>,
}

/// 2^score of the keys of a tile; mantissa 0 where hidden.
pub(crate) struct PowerKeys {
    pub(crate) mantissa: Keys<u32>,
    pub(crate) exponent: Keys<i32>,
}

/// bias + sum of q * (level + 128) for every key of a tile, over one scale block.
#[inline(always)]
pub(super) fn dot(q: &[i8], levels: &[u8], bias: i32) -> Keys<i32> {
    let mut sums = [bias; TILE];
    for (q, quads) in q.as_chunks::<4>().0.iter().zip(levels.as_chunks::<{ 4 * TILE }>().0) {
        let q = q.map(i32::from);
        for (sum, quad) in sums.iter_mut().zip(quads.as_chunks::<4>().0) {
            *sum += q[0] * i32::from(quad[0]) + q[1] * i32::from(quad[1]);
            *sum += q[2] * i32::from(quad[2]) + q[3] * i32::from(quad[3]);
        }
    }
    sums
}

/// As `score::block_score` for finite arguments; a leftover scale of a hidden key may be anything.
#[inline(always)]
fn block_score(idot: i32, scale: f32, mult: f32) -> i32 {
    let t = idot as f32 * scale * mult;
    let kept = if t > -LIMIT { t.min(LIMIT) } else { -LIMIT };
    // SAFETY: `kept` is within +-2^26 and never nan. The checked conversion is not vectorised.
    unsafe { kept.round_ties_even().to_int_unchecked() }
}

/// Q16 scores of one query row.
#[inline(always)]
pub(super) fn scores(
    row: ScoreRow<'_>,
    tile: ScoreTile<'_>,
    dot: impl Fn(&[i8], &[u8], i32) -> Keys<i32>,
) -> Keys<i32> {
    let mut out = [0; TILE];
    let d = tile.levels.len() / TILE;
    let blocks = tile.sizes.len();
    let mut at = 0;
    for (b, &n) in tile.sizes.iter().enumerate() {
        let levels = &tile.levels[at * TILE..(at + n) * TILE];
        let mut sums = dot(&row.planes[at..at + n], levels, row.bias[b]);
        if row.planes.len() > d {
            let low = dot(&row.planes[d + at..d + at + n], levels, row.bias[blocks + b]);
            for (sum, low) in sums.iter_mut().zip(low) {
                *sum = 255 * *sum + low;
            }
        }
        for t in 0..TILE {
            out[t] += block_score(sums[t], tile.scales[b][t], row.mults[b]);
        }
        at += n;
    }
    out
}

/// Takes the 64 scales of one block of a unit apart.
#[inline(always)]
pub(super) fn scale_parts(words: &[u32], out: &mut ScaleKeys) {
    let mut bits = [0; TILE];
    for (pair, &word) in bits.as_chunks_mut::<2>().0.iter_mut().zip(words) {
        *pair = [word & 0xffff, word >> 16];
    }
    for (t, &bits) in bits.iter().enumerate() {
        let parts = ScaleParts::new(bits as u16);
        out.h[t] = parts.h;
        out.x[t] = parts.x;
        out.sign[t] = -i32::from(parts.negative);
    }
}

/// 2^score of the keys from `from` up to `to`, and their part of the denominator. At least one key is visible.
#[inline(always)]
pub(super) fn powers(scores: &Keys<i32>, from: usize, to: usize) -> (PowerKeys, Denominator) {
    const HIDDEN: i32 = i32::MIN / 4;
    let mut keys = PowerKeys { mantissa: [0; TILE], exponent: [0; TILE] };
    let mut e = HIDDEN;
    for (t, &s) in scores.iter().enumerate() {
        let power = exp2(s);
        let visible = t >= from && t < to;
        keys.mantissa[t] = if visible { power.mantissa } else { 0 };
        keys.exponent[t] = if visible { power.exponent } else { HIDDEN };
        e = e.max(keys.exponent[t]);
    }
    let mut l = 0;
    for t in 0..TILE {
        l += keys.mantissa[t] >> (e - keys.exponent[t]).min(31);
    }
    (keys, Denominator { l, e })
}

/// Weights of the keys for one scale block of V, and the frame of their sums.
#[inline(always)]
pub(super) fn weights(powers: &PowerKeys, scales: &ScaleKeys, width: WeightWidth) -> (Keys<i16>, Frame) {
    const NONE: i32 = i32::MIN;
    let mut product = [0_u32; TILE];
    let mut exponent = [0_i32; TILE];
    let mut g = NONE;
    for t in 0..TILE {
        product[t] = (powers.mantissa[t] >> 4) * scales.h[t];
        exponent[t] = powers.exponent[t] + scales.x[t];
        let top = 31 - product[t].leading_zeros() as i32 + exponent[t];
        g = g.max(if product[t] == 0 { NONE } else { top });
    }
    let mut out = [0; TILE];
    if g == NONE {
        return (out, Frame::EMPTY);
    }
    let base = g - width.bits;
    for t in 0..TILE {
        // A product of 0 gives 0 at any shift, so its r may be anything in range.
        let r = (base - exponent[t]).clamp(1, 32) as u32;
        let rounded = (product[t] + (1 << (r - 1))) >> (r & 31);
        let size = if r > 31 || product[t] == 0 { 0 } else { rounded.min(width.max) as i32 };
        out[t] = ((size ^ scales.sign[t]) - scales.sign[t]) as i16;
    }
    (out, Frame { e: g, bound: width.bound })
}

/// Sums of weight times level over the pairs of keys `from` up to `to`, for the values of one scale block.
///
/// `levels` is [pair][`stride` / 2][2] from the block's first value on.
#[inline(always)]
pub(super) fn weigh(weights: &Keys<i16>, levels: &[i16], stride: usize, from: usize, to: usize, sums: &mut [i32]) {
    sums.fill(0);
    for p in from..to {
        let [w0, w1] = [weights[2 * p], weights[2 * p + 1]].map(i32::from);
        for (sum, pair) in sums.iter_mut().zip(levels[p * stride..].as_chunks::<2>().0) {
            *sum += w0 * i32::from(pair[0]) + w1 * i32::from(pair[1]);
        }
    }
}

/// state = state >> shift + part >> shift, rounded as `shift_round` does.
#[inline(always)]
pub(super) fn join(state: &mut [i32], part: &[i32], shifts: Shifts) {
    let parts = |k: i32| {
        let half = if (1..=30).contains(&k) { 1 << (k - 1) } else { 0 };
        (half, k.clamp(0, 31), if k > 30 { 0 } else { -1 })
    };
    let (half_s, k_s, mask_s) = parts(shifts.state);
    let (half_p, k_p, mask_p) = parts(shifts.part);
    for (s, &p) in state.iter_mut().zip(part) {
        *s = (((*s + half_s) >> k_s) & mask_s) + (((p + half_p) >> k_p) & mask_p);
    }
}

/// Levels of 64 keys, [key][head_dim], to biased quads, [head_dim / 4][key][4].
#[inline(always)]
pub(super) fn quads(levels: &[i8], d: usize, out: &mut [u8]) {
    for (t, row) in levels.chunks_exact(d).enumerate() {
        for (j, quad) in row.as_chunks::<4>().0.iter().enumerate() {
            let at = (j * TILE + t) * 4;
            out[at..at + 4].copy_from_slice(&quad.map(|level| level as u8 ^ BIAS as u8));
        }
    }
}

/// Levels of 64 keys, [key][head_dim], to pairs of keys, [key / 2][head_dim][2].
#[inline(always)]
pub(super) fn pairs(levels: &[i8], d: usize, out: &mut [i16]) {
    for (rows, out) in levels.chunks_exact(2 * d).zip(out.chunks_exact_mut(2 * d)) {
        let (a, b) = rows.split_at(d);
        for ((pair, &a), &b) in out.as_chunks_mut::<2>().0.iter_mut().zip(a).zip(b) {
            *pair = [i16::from(a), i16::from(b)];
        }
    }
}
