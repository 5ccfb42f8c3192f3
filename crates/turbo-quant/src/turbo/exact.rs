//! Float primitives that every device computes to the same bits: `docs/exact-attention.md` sections 1 to 4.
//!
//! No division, square root or exponential decides a bit here; a guess from one is walked to the
//! answer by exact comparisons. Rust never fuses `a * b + c`.

/// The exponent field of an f32.
#[inline(always)]
pub const fn exponent_field(x: f32) -> u32 {
    (x.to_bits() >> 23) & 0xff
}

/// `x` times 2^k on the exponent field.
///
/// +0.0 when `x` is zero or denormal or the result would be denormal or smaller; the largest finite
/// value of `x`'s sign when the result would overflow.
#[inline(always)]
pub const fn scale_pow2(x: f32, k: i32) -> f32 {
    let bits = x.to_bits();
    let field = exponent_field(x) as i32;
    let scaled = field.saturating_add(k);
    let moved = (bits & 0x807f_ffff) | ((scaled as u32 & 0xff) << 23);
    let capped = if scaled >= 255 { (bits & 0x8000_0000) | 0x7f7f_ffff } else { moved };
    f32::from_bits(if field == 0 || scaled <= 0 { 0 } else { capped })
}

/// Sum of the squares as a binary tree over the index bits, lowest bit first.
#[inline(always)]
pub fn sum_of_squares<const N: usize>(x: &[f32; N]) -> f32 {
    let mut s = [0.0; N];
    for i in 0..N {
        s[i] = x[i] * x[i];
    }
    let mut width = N;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            s[i] = s[2 * i] + s[2 * i + 1];
        }
    }
    s[0]
}

/// Magnitudes (f32 bits without sign) from here on, 65520, round beyond the largest f16.
pub(crate) const F16_OVERFLOW: u32 = 0x477f_f000;

/// f16 bits nearest to `x`, ties to even, in integer arithmetic; `None` from 65520 up and for inf and nan.
#[inline(always)]
pub const fn f16_from_f32(x: f32) -> Option<u16> {
    if x.to_bits() & 0x7fff_ffff >= F16_OVERFLOW { None } else { Some(f16_in_range(x)) }
}

/// [`f16_from_f32`] of an x known to be below 65520, without a branch.
#[inline(always)]
pub(crate) const fn f16_in_range(x: f32) -> u16 {
    let sign = (x.to_bits() >> 16) & 0x8000;
    let a = x.to_bits() & 0x7fff_ffff;
    let rebased = a.wrapping_sub(112 << 23);
    let normal = (rebased.wrapping_add(0x0fff + ((rebased >> 13) & 1))) >> 13;
    // Subnormal: in units of 2^-24 the value is mantissa * 2^-(126 - field); 25 bits off leave 0.
    let bits_off = 126_u32.wrapping_sub(a >> 23);
    let drop = if bits_off > 25 { 25 } else { bits_off };
    let mantissa = (a & 0x007f_ffff) | 0x0080_0000;
    let half = (1_u32 << drop) >> 1;
    let subnormal = (mantissa.wrapping_add(half).wrapping_sub(1) + ((mantissa >> drop) & 1)) >> drop;
    (sign | if a >= 0x3880_0000 { normal } else { subnormal }) as u16
}

/// The f32 of f16 bits; exact. Inf and nan keep their class.
#[inline(always)]
pub const fn f32_from_f16(h: u16) -> f32 {
    let sign = (h as u32 & 0x8000) << 16;
    let (field, fraction) = ((h as u32 >> 10) & 31, h as u32 & 0x3ff);
    let magnitude = match field {
        // fraction * 2^-24: exact as a conversion and a product with a power of two.
        0 => (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (field + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The integer mantissa m and the exponent q of finite, non-negative f16 bits: value = m * 2^q.
#[inline(always)]
pub const fn f16_parts(h: u16) -> (u32, i32) {
    let field = h as u32 >> 10;
    if field == 0 { (h as u32, -24) } else { ((h as u32 & 0x3ff) | 0x400, field as i32 - 25) }
}

/// Bits of the largest finite f16, 65504.
const F16_MAX: u16 = 0x7bff;

/// Walks `guess` to the smallest finite f16 at which `reached` holds; `None` if there is none.
///
/// `reached` must be monotone over the f16 bits.
#[inline(always)]
fn walk(guess: u16, reached: impl Fn(u16) -> bool) -> Option<u16> {
    let mut h = guess.min(F16_MAX);
    while h > 0 && reached(h - 1) {
        h -= 1;
    }
    while !reached(h) {
        if h == F16_MAX {
            return None;
        }
        h += 1;
    }
    Some(h)
}

/// f16 bits near `x` (>= 0), for a walk to start from.
#[inline(always)]
const fn f16_guess(x: f32) -> u16 {
    match f16_from_f32(x) {
        Some(h) => h,
        None => F16_MAX,
    }
}

/// f16 bits nearest 2^k * sqrt(`ss` / `sl`), the larger at a tie; `None` from 65520 up.
///
/// `ss` is a finite sum of squares, `sl` an integer in 1..2^24. Decided by comparing `ss` with
/// f32(midpoint^2 * `sl`), the midpoints of neighbouring f16 having 12 bits.
#[inline(always)]
pub fn f16_scale(ss: f32, sl: u32, k: i32) -> Option<u16> {
    let level_power = sl as i32 as f32;
    let below_midpoint = |h: u16| {
        let (m, q) = f16_parts(h);
        let midpoint = (2 * m + 1) as i32 as f32;
        scale_pow2(ss, 2 * (k - q + 1)) < midpoint * midpoint * level_power
    };
    walk(f16_guess(scale_pow2((ss / level_power).sqrt(), k)), below_midpoint)
}

/// Bits of the smallest f16 D with 127 * D >= `max` * 2^k; `None` if there is none.
#[inline(always)]
pub fn f16_scale_of_max(max: f32, k: i32) -> Option<u16> {
    let covers = |h: u16| {
        let (m, q) = f16_parts(h);
        (127 * m) as i32 as f32 >= scale_pow2(max, k - q)
    };
    walk(f16_guess(scale_pow2(max / 127.0, k)), covers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn f16_conversions_equal_the_half_crate() {
        for h in 0..=u16::MAX {
            let want = f16::from_bits(h);
            if !want.is_nan() {
                assert_eq!(f32_from_f16(h).to_bits(), want.to_f32().to_bits(), "{h:04x}");
            } else {
                assert!(f32_from_f16(h).is_nan());
            }
        }
        // Every f16 midpoint and its neighbours, and a coarse sweep of all f32.
        let around = (0..0x7bff_u16).flat_map(|h| {
            let mid = (0.5 * (f64::from(f32_from_f16(h)) + f64::from(f32_from_f16(h + 1)))) as f32;
            [mid.to_bits() - 1, mid.to_bits(), mid.to_bits() + 1]
        });
        for bits in around.chain((0..=u32::MAX).step_by(40_009)) {
            let x = f32::from_bits(bits);
            let want = f16::from_f32(x);
            let want = want.is_finite().then_some(want.to_bits());
            assert_eq!(f16_from_f32(x), want, "{bits:08x}");
        }
        assert_eq!((f16_from_f32(65519.996), f16_from_f32(65520.0)), (Some(F16_MAX), None));
    }

    #[test]
    fn scale_pow2_flushes_and_saturates() {
        assert_eq!(scale_pow2(1.5, 3), 12.0);
        assert_eq!(scale_pow2(-1.5, -200).to_bits(), 0);
        assert_eq!(scale_pow2(f32::from_bits(1), 100).to_bits(), 0);
        assert_eq!(scale_pow2(-0.0, 100).to_bits(), 0);
        assert_eq!(scale_pow2(-1.5, 128), f32::MIN);
        assert_eq!(scale_pow2(1.0, i32::MAX), f32::MAX);
        assert_eq!(scale_pow2(1.0, i32::MIN), 0.0);
        assert_eq!(scale_pow2(1.0, -126), f32::MIN_POSITIVE);
        assert_eq!(scale_pow2(1.0, -127), 0.0);
    }

    #[test]
    fn the_sum_is_a_tree_with_the_lowest_bit_first() {
        let x: [f32; 16] = std::array::from_fn(|i| 1.0 + i as f32 * 1.234_567e-3);
        fn tree(x: &[f32], bit: usize, at: usize) -> f32 {
            if bit == 0 { x[at] * x[at] } else { tree(x, bit - 1, at) + tree(x, bit - 1, at + (1 << (bit - 1))) }
        }
        assert_eq!(sum_of_squares(&x).to_bits(), tree(&x, 4, 0).to_bits());
    }

    #[test]
    fn every_guess_walks_to_the_same_scale() {
        for (ss, sl, k) in [(1.0_f32, 1_u32, 0), (300.5, 123_456, 9), (511.9, 77, -20), (1.0, 4, 16)] {
            let want = f16_scale(ss, sl, k);
            for guess in [0, 1, 0x3ff, 0x400, 0x3c00, F16_MAX, u16::MAX] {
                let level_power = sl as f32;
                let got = walk(guess, |h| {
                    let (m, q) = f16_parts(h);
                    let midpoint = (2 * m + 1) as f32;
                    scale_pow2(ss, 2 * (k - q + 1)) < midpoint * midpoint * level_power
                });
                assert_eq!(got, want);
            }
        }
        assert_eq!(f16_scale(1.0, 1, 0), Some(0x3c00));
        assert_eq!(f16_scale(1.0, 1, 16), None);
        assert_eq!(f16_scale(1.0, 1, -25), Some(1), "a tie goes up");
        assert_eq!(f16_scale(1.0, 1, -26), Some(0));
        assert_eq!(f16_scale(1.0, 1, -500), Some(0));
        assert_eq!(f16_scale(1.0, 1, 500), None);
    }

    #[test]
    fn the_scale_of_a_maximum_covers_it_and_is_the_smallest() {
        assert_eq!(f16_scale_of_max(127.0, 0), Some(0x3c00));
        assert_eq!(f16_scale_of_max(127.01, 0), Some(0x3c01));
        assert_eq!(f16_scale_of_max(127.0 * 65504.0, 0), Some(F16_MAX));
        assert_eq!(f16_scale_of_max(127.0 * 65504.5, 0), None);
        assert_eq!(f16_scale_of_max(0.0, 0), Some(0));
        assert_eq!(f16_scale_of_max(1.0, -60), Some(1));
    }
}
