//! From sums to output values (`docs/exact-attention.md` section 10).

use turbo_quant::turbo::exact::scale_pow2;

use super::fold::{Denominator, Frame};
use super::tile::CONTRIBUTION;

/// Factor 1 / denominator as f32 * 2^exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reciprocal {
    /// About 2^46 / the top 16 bits of l.
    pub factor: f32,
    /// Power of two that goes with it.
    pub exponent: i32,
}

/// 1 / denominator, `None` when it is empty.
pub fn reciprocal(denominator: Denominator) -> Option<Reciprocal> {
    let Denominator { l, e } = denominator;
    if l == 0 {
        return None;
    }
    let el2 = 16 - l.leading_zeros() as i32;
    let l16 = if el2 >= 0 { l >> el2 } else { l << -el2 };
    let quotient = (1_u32 << 31) / l16;
    let rest = (1_u32 << 31) % l16;
    let r = ((quotient << 15) + (rest << 15) / l16).min(i32::MAX as u32);
    Some(Reciprocal { factor: r as i32 as f32, exponent: -(e - 23) - el2 - 46 })
}

/// One output value, still rotated: `acc` of a scale block in `frame`, whose levels carry 2^-`shift` and whose
/// weights have `bits` bits.
pub fn value(acc: i32, frame: Frame, bits: i32, shift: i32, reciprocal: Reciprocal) -> f32 {
    if frame.is_empty() {
        return 0.0;
    }
    scale_pow2(acc as f32 * reciprocal.factor, frame.e - bits - CONTRIBUTION - shift + reciprocal.exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reciprocal_is_within_2_to_the_minus_15() {
        for l in [1, 2, 3, 255, 65535, 65536, 1 << 23, (1 << 24) - 1, 0x2aaa_aaaa, 1 << 30] {
            for e in [-20000, -5, 0, 23, 20000] {
                let r = reciprocal(Denominator { l, e }).expect("not empty");
                // log2 keeps exponents of this size apart from overflow.
                let log2 = f64::from(r.factor).log2() + f64::from(r.exponent) + f64::from(l).log2() + f64::from(e - 23);
                assert!((-1e-7..4.5e-5).contains(&log2), "l {l} e {e}: off by {log2} in log2");
            }
        }
        assert_eq!(reciprocal(Denominator::EMPTY), None);
    }
}
