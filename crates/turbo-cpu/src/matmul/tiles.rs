//! The plain twin of the GPU's tiled products of quantised weights.

use super::WeightRef;
use super::matvec::matvec;

/// `[tokens][rows]`: `w` times every token of `x`, rounded to 8 bits (`wide`: 16), plus a bias. Many tokens give what few
/// give.
///
/// # Panics
/// When shapes do not belong together.
pub fn tiles(w: WeightRef<'_>, x: &[f32], tokens: usize, wide: bool, bias: Option<&[f32]>) -> Vec<f32> {
    matvec(w, x, tokens, wide, bias)
}
