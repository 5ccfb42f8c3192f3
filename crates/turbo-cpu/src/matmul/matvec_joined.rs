//! The plain twin of the GPU's products of several matrices with the same activations.

use super::WeightRef;
use super::matvec::matvec_normed;

/// For every matrix `[tokens][rows]`: it times every token of `x`, rounded to 8 bits, times the factor of the norm of
/// `unnormed`.
///
/// # Panics
/// When shapes do not belong together.
pub fn matvec_joined(matrices: &[WeightRef<'_>], x: &[f32], unnormed: &[f32], eps: f32) -> Vec<Vec<f32>> {
    matrices.iter().map(|&w| matvec_normed(w, x, false, unnormed, eps)).collect()
}
