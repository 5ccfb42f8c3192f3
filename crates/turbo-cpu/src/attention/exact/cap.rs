//! Soft cap of a Q16 log2 score in integers (`docs/exact-attention.md` section 6).

use super::exp2::exp2q;
use super::score::{LIMIT, round};

/// A model's soft cap c, score -> c * tanh(score / c), made ready for Q16 log2 scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftCap {
    /// c * log2(e) * 65536.
    limit: u32,
    /// 2 / c: from a Q16 log2 score to the Q16 log2 exponent of tanh.
    factor: f32,
}

impl SoftCap {
    /// The cap `c` in natural units, limited to 2^-10 ..= 8192 (a NaN counts as 8192).
    pub fn new(c: f32) -> Self {
        let c = f64::from(if c.is_nan() { 8192.0 } else { c.clamp(1.0 / 1024.0, 8192.0) });
        let limit = (c * std::f64::consts::LOG2_E * 65536.0).round() as u32;
        Self { limit, factor: (2.0 / c) as f32 }
    }

    /// The capped score, Q16 log2 like `s`.
    #[inline(always)]
    pub fn apply(&self, s: i32) -> i32 {
        const ONE: u32 = 1 << 23;
        let z = round((s.unsigned_abs() as f32 * self.factor).clamp(0.0, LIMIT));
        let u = exp2q(-z);
        let ratio = (u64::from(ONE - u) << 24) / u64::from(ONE + u);
        let capped = ((u64::from(self.limit) * ratio) >> 24) as i32;
        if s < 0 { -capped } else { capped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_tanh() {
        const UNIT: f64 = 65536.0 * std::f64::consts::LOG2_E;
        for c in [1.0_f32, 30.0, 50.0] {
            let cap = SoftCap::new(c);
            for k in -400..=400 {
                let score = f64::from(k) * f64::from(c) / 50.0;
                let got = f64::from(cap.apply((score * UNIT).round() as i32)) / UNIT;
                let want = f64::from(c) * (score / f64::from(c)).tanh();
                assert!(
                    (got - want).abs() < 1.5e-5 * f64::from(c) + 2e-5,
                    "cap {c}, score {score}: {got}, want {want}"
                );
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        for c in [0.0, 1e-30, 50.0, 1e30, f32::INFINITY, f32::NAN] {
            let cap = SoftCap::new(c);
            assert_eq!(cap.apply(0), 0);
            assert_eq!(cap.apply(i32::MIN), -cap.apply(i32::MAX));
            assert!(cap.apply(1 << 30) >= 0);
        }
    }
}
