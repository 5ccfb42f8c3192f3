//! Twin of `wgsl/kernels/kv/rotate.wgsl`: class Exact.

use turbo_quant::turbo::rotate::{Direction, rotate_head};

/// Rotates every head of `x` (heads of `head_dim` values, a multiple of 16) into `y`.
///
/// A rotation group with an inf or nan becomes all 0x7fc00000. Values of `x` that make no whole head are left out.
pub fn rotate(x: &[f32], y: &mut [f32], head_dim: usize, direction: Direction) {
    for (from, to) in x.chunks_exact(head_dim.max(1)).zip(y.chunks_exact_mut(head_dim.max(1))) {
        to.copy_from_slice(from);
        rotate_head(to, direction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_rotated_one_by_one() {
        let x: Vec<f32> = (0..160).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut y = vec![0.0; 160];
        rotate(&x, &mut y, 80, Direction::Forward);
        let mut second = x[80..].to_vec();
        rotate_head(&mut second, Direction::Forward);
        assert_eq!(&y[80..], &second);
        let mut back = vec![0.0; 160];
        rotate(&y, &mut back, 80, Direction::Inverse);
        assert!(back.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
