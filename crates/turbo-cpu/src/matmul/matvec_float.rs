//! The plain twin of the GPU's products of float weights.

use super::matvec::product;
use super::{Forms, WeightRef};

/// `[tokens][rows]`: `w` times every token of `x`, plus a bias.
///
/// # Panics
/// When shapes do not belong together.
pub fn matvec_float(w: WeightRef<'_>, x: &[f32], tokens: usize, bias: Option<&[f32]>) -> Vec<f32> {
    product(w, x, tokens, Forms::of(&[w.ty]), bias)
}
