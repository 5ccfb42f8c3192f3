//! The plain twin of the GPU's tiled products of float weights.

use super::WeightRef;
use super::matvec_float::matvec_float;

/// `[tokens][rows]`: `w` times every token of `x`, plus a bias. Many tokens give what few give.
///
/// # Panics
/// When shapes do not belong together.
pub fn tiles_float(w: WeightRef<'_>, x: &[f32], tokens: usize, bias: Option<&[f32]>) -> Vec<f32> {
    matvec_float(w, x, tokens, bias)
}
