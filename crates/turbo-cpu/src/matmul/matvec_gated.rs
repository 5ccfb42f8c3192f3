//! The plain twin of the GPU's products of gate and up with what becomes of them.

use turbo_backend::plan::Activation;

use super::WeightRef;
use super::matvec::matvec_normed;
use crate::ops::gated_codes::gated_codes;

/// The values that the codes of activation(gate) * up stand for, 8 bits (`wide`: 16), where gate and up are the products of
/// the two matrices with every token of `x`, rounded to 8 bits, times the factor of the norm of `unnormed`.
///
/// # Panics
/// When shapes do not belong together.
pub fn matvec_gated(
    activation: Activation,
    [gate, up]: [WeightRef<'_>; 2],
    x: &[f32],
    (unnormed, eps): (&[f32], f32),
    wide: bool,
) -> Vec<f32> {
    let product = |w| matvec_normed(w, x, false, unnormed, eps);
    gated_codes(activation, &product(gate), &product(up), wide)
}
