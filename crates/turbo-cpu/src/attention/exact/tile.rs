//! One tile of at most 64 keys: its part of the denominator and of the values (`docs/exact-attention.md` section 8).

use super::exp2::{Power, exp2};
use super::fold::{Denominator, Frame};

/// Width of the softmax weights of V: bits below the leading one, and the largest weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightWidth {
    /// A weight is below 2^(bits + 1).
    pub bits: i32,
    /// 2^(bits + 1) - 1.
    pub max: u32,
    /// Limit on the size of a tile's sums.
    pub bound: u32,
}

/// For V of 2 to 4 bits.
pub const NARROW: WeightWidth = WeightWidth { bits: 10, max: 2047, bound: 1 << 24 };

/// For V of type q8_0, whose codes err less.
pub const WIDE: WeightWidth = WeightWidth { bits: 14, max: 32767, bound: 1 << 28 };

/// A contribution of weight 1 and level 1 is 2^(frame - bits - CONTRIBUTION): 25 of the f16 scale, 19 of the mantissa.
pub const CONTRIBUTION: i32 = 44;

/// An f16 scale taken apart: +-h * 2^(x - 25).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScaleParts {
    /// Mantissa with its hidden bit, below 2^11.
    pub h: u32,
    /// Exponent field, at least 1.
    pub x: i32,
    /// Sign bit.
    pub negative: bool,
}

impl ScaleParts {
    /// Takes the bits of an f16 apart.
    #[inline(always)]
    pub const fn new(bits: u16) -> Self {
        let field = (bits >> 10) & 31;
        let hidden = if field > 0 { 1 << 10 } else { 0 };
        let x = if field > 0 { field as i32 } else { 1 };
        Self { h: (bits & 0x3ff) as u32 | hidden, x, negative: bits >> 15 != 0 }
    }
}

/// 2^score of every visible key of a tile.
pub fn powers(scores: &[i32]) -> Vec<Power> {
    scores.iter().map(|&s| exp2(s)).collect()
}

/// The tile's part of the denominator.
pub fn denominator(powers: &[Power]) -> Denominator {
    let Some(e) = powers.iter().map(|p| p.exponent).max() else { return Denominator::EMPTY };
    let l = powers.iter().map(|p| p.mantissa >> (e - p.exponent).min(31)).sum();
    Denominator { l, e }
}

/// Signed weights of the keys for one scale block of V, and the frame of their sums.
pub fn weights(powers: &[Power], scales: &[ScaleParts], width: WeightWidth) -> (Vec<i32>, Frame) {
    let products: Vec<(u32, i32)> =
        powers.iter().zip(scales).map(|(p, s)| ((p.mantissa >> 4) * s.h, p.exponent + s.x)).collect();
    let top = |&(w, e): &(u32, i32)| (w != 0).then(|| 31 - w.leading_zeros() as i32 + e);
    let Some(g) = products.iter().filter_map(top).max() else {
        return (vec![0; powers.len()], Frame::EMPTY);
    };
    let weight = |(&(w, e), s): (&(u32, i32), &ScaleParts)| {
        let r = g - width.bits - e;
        let size = if w == 0 || r > 31 { 0 } else { ((w + (1 << (r - 1))) >> r).min(width.max) };
        if s.negative { -(size as i32) } else { size as i32 }
    };
    (products.iter().zip(scales).map(weight).collect(), Frame { e: g, bound: width.bound })
}

/// Sums of weight times level over the keys, for one value of the head.
pub fn weighted_sum(weights: &[i32], levels: impl Iterator<Item = i8>) -> i32 {
    weights.iter().zip(levels).map(|(&w, level)| w * i32::from(level)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_come_apart_exactly() {
        for bits in 0..0x7c00_u16 {
            let parts = ScaleParts::new(bits);
            let value = f64::from(parts.h) * 2.0_f64.powi(parts.x - 25);
            assert_eq!(value, half::f16::from_bits(bits).to_f64());
        }
        assert!(ScaleParts::new(0x8001).negative);
    }

    #[test]
    fn the_largest_weight_fills_its_width_and_no_sum_passes_the_bound() {
        let scale = ScaleParts::new(half::f16::MAX.to_bits());
        for width in [NARROW, WIDE] {
            let powers = powers(&[65535; 64]);
            let (w, frame) = weights(&powers, &[scale; 64], width);
            assert!(w.iter().all(|&w| w > 1 << width.bits && w <= width.max as i32));
            assert!(weighted_sum(&w, [127; 64].into_iter()) <= frame.bound as i32);
            assert!(denominator(&powers).l <= 1 << 30);
        }
    }

    #[test]
    fn zero_scales_make_an_empty_part() {
        let (w, frame) = weights(&powers(&[0, 0]), &[ScaleParts::new(0); 2], NARROW);
        assert_eq!((w, frame), (vec![0, 0], Frame::EMPTY));
    }
}
