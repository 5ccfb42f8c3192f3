//! Soft caps.

use super::exp::tanh;
use super::simd::with_avx2;

with_avx2! {
    /// x = cap * tanh(x / cap), element by element.
    soft_cap(cap: f32, x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = cap * tanh(*x / cap));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_cap_bounds_and_keeps_small_values() {
        let mut x = [1e9, -1e9, 0.01];
        soft_cap(30.0, &mut x);
        assert_eq!(x[..2], [30.0, -30.0]);
        assert!((x[2] - 0.01).abs() < 1e-6, "small values stay: {}", x[2]);
    }
}
