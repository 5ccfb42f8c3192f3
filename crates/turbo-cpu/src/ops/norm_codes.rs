//! A norm whose results are rounded to integer codes.

use super::quantise::quantise;
use super::rms_norm;

/// The values that the codes of the normed rows of `x` stand for; a row is as long as `weight`, in units of 32.
pub fn norm_codes(x: &[f32], weight: &[f32], eps: f32, wide: bool) -> Vec<f32> {
    let mut x = x.to_vec();
    rms_norm(&mut x, weight, eps);
    quantise(&x, wide)
}
