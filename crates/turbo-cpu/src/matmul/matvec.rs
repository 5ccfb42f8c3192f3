//! The plain twin of the GPU's products of quantised weights.

use super::{Activations, Forms, Level, WeightRef, matmul_at};
use crate::ops::factors;
use crate::pool::ThreadPool;

/// `[tokens][rows]`: `w` times every token of `x`, rounded to 8 bits (`wide`: 16), plus a bias.
///
/// # Panics
/// When shapes do not belong together.
pub fn matvec(w: WeightRef<'_>, x: &[f32], tokens: usize, wide: bool, bias: Option<&[f32]>) -> Vec<f32> {
    product(w, x, tokens, Forms::of(&[w.ty]).with_wide(wide), bias)
}

/// [`matvec`] of activations whose norm was not divided by: what it is for is multiplied with the norm's factor, which
/// `unnormed` has, the activations before their weights.
///
/// # Panics
/// When shapes do not belong together.
pub fn matvec_normed(w: WeightRef<'_>, x: &[f32], wide: bool, unnormed: &[f32], eps: f32) -> Vec<f32> {
    let factors = factors(unnormed, w.cols, eps);
    let mut out = matvec(w, x, factors.len(), wide, None);
    for (out, factor) in out.chunks_exact_mut(w.rows).zip(factors) {
        out.iter_mut().for_each(|out| *out *= factor);
    }
    out
}

/// The product with the input in the given forms.
pub(super) fn product(w: WeightRef<'_>, x: &[f32], tokens: usize, forms: Forms, bias: Option<&[f32]>) -> Vec<f32> {
    let pool = ThreadPool::new(1);
    let mut input = Activations::new();
    input.prepare(&pool, x, tokens, w.cols, forms);
    let mut out = vec![0.0; tokens * w.rows];
    matmul_at(Level::Plain, &pool, w, &input, bias, &mut out, w.rows);
    out
}
