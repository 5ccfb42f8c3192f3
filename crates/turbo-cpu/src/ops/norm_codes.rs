//! A norm whose results are rounded to integer codes before they are divided by the root mean square.

use super::quantise::quantise;

/// The values that the codes of x * weight stand for, and the sums of squares of every 32 values of `x`; a row is as long as
/// `weight`, in units of 32.
pub fn norm_codes(x: &[f32], weight: &[f32], wide: bool) -> (Vec<f32>, Vec<f32>) {
    let weighted: Vec<f32> = x.iter().zip(weight.iter().cycle()).map(|(x, w)| x * w).collect();
    let squares = x.chunks(32).map(|unit| unit.iter().map(|x| x * x).sum()).collect();
    (quantise(&weighted, wide), squares)
}
