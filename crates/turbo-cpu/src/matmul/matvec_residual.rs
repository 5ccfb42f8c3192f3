//! The plain twin of the GPU's products that are added to the residual stream and go on through a norm.

use super::WeightRef;
use super::matvec::matvec;
use crate::ops::norm_codes::norm_codes;

/// What becomes of the residual stream, the values that its codes stand for, and their sums of squares.
pub struct ResidualCodes {
    /// The sums.
    pub x: Vec<f32>,
    /// What their codes stand for.
    pub codes: Vec<f32>,
    /// The sums of squares of every 32.
    pub squares: Vec<f32>,
}

/// Adds `w` times every token of `input`, rounded to 8 bits (`wide.0`: 16), to `x`, and rounds that times `weight` to 8 bits
/// (`wide.1`: 16).
///
/// # Panics
/// When shapes do not belong together.
pub fn matvec_residual(
    w: WeightRef<'_>,
    input: &[f32],
    x: &[f32],
    weight: &[f32],
    wide: (bool, bool),
) -> ResidualCodes {
    let mut sums = matvec(w, input, input.len() / w.cols, wide.0, None);
    sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    let (codes, squares) = norm_codes(&sums, weight, wide.1);
    ResidualCodes { x: sums, codes, squares }
}
