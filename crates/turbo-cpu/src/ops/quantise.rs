//! Activations rounded to integer codes, as products with quantised weights take them.

use crate::matmul::{Activations, Forms};
use crate::pool::ThreadPool;

/// The values that the codes of `x` stand for, in units of 32; `wide` codes have 16 bits instead of 8.
pub fn quantise(x: &[f32], wide: bool) -> Vec<f32> {
    let mut activations = Activations::new();
    activations.prepare(&ThreadPool::new(1), x, 1, x.len(), Forms { float: false, int8: true, wide });
    activations.values(0)
}
