//! Heads that are normed, then rotated.

use turbo_backend::plan::RopeStyle;

use super::{RopeAngles, rms_norm};

/// Norms every head of the rows of `x` and rotates it by its row's angles; a head is as long as `weight`, a row has
/// `heads` of them.
pub fn norm_rope(x: &mut [f32], weight: &[f32], eps: f32, angles: &RopeAngles, style: RopeStyle, heads: usize) {
    rms_norm(x, weight, eps);
    for (token, row) in x.chunks_exact_mut(heads * weight.len()).enumerate() {
        angles.apply(style, token, row, weight.len());
    }
}
