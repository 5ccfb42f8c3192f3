//! 2^x in integers (`docs/exact-attention.md` section 7).

/// Polynomial of 2^f - 1 on [0, 1), in Q16: largest relative error of the mantissa 1.26e-5 over all 65536 f,
/// truncations included; root mean square 3.4e-6. Part of the format version.
pub const COEFFICIENTS: [u32; 4] = [45419, 15811, 3433, 874];

/// 2^(s / 65536) = mantissa * 2^(exponent - 23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// In [2^23, 2^24).
    pub mantissa: u32,
    /// s >> 16.
    pub exponent: i32,
}

/// 2^(s / 65536) of any `s` in Q16.
#[inline(always)]
pub const fn exp2(s: i32) -> Power {
    let f = (s & 0xffff) as u32;
    let [c1, c2, c3, c4] = COEFFICIENTS;
    let r = c3 + ((c4 * f) >> 16);
    let r = c2 + ((r * f) >> 16);
    let r = c1 + ((r * f) >> 16);
    let m = (1 << 23) + ((r * f) >> 9);
    let mantissa = if m < (1 << 24) { m } else { (1 << 24) - 1 };
    Power { mantissa, exponent: s >> 16 }
}

/// 2^(s / 65536) of an `s` <= 0 as one integer in Q23, truncated.
#[inline(always)]
pub const fn exp2q(s: i32) -> u32 {
    let power = exp2(s);
    let shift = -power.exponent;
    power.mantissa >> if shift < 31 { shift } else { 31 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mantissa_is_within_1_3e_minus_5_everywhere() {
        let mut worst = 0.0_f64;
        for f in 0..65536 {
            let want = 2.0_f64.powf(23.0 + f64::from(f) / 65536.0);
            worst = worst.max((f64::from(exp2(f).mantissa) / want - 1.0).abs());
        }
        assert!(worst < 1.26e-5, "largest relative error {worst:e}");
    }

    #[test]
    fn it_never_decreases() {
        let q = |s| u64::from(exp2(s).mantissa) << (exp2(s).exponent + 2);
        for s in -131_072..65_536 {
            assert!(q(s) <= q(s + 1), "at {s}");
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(exp2q(0), 1 << 23);
        assert_eq!(exp2q(i32::MIN), 0);
        assert_eq!(exp2(i32::MAX).exponent, 32767);
        assert_eq!(exp2(i32::MIN), Power { mantissa: 1 << 23, exponent: -32768 });
    }
}
