//! A gated activation whose results are rounded to integer codes.

use turbo_backend::plan::Activation;

use super::gated;
use super::quantise::quantise;

/// The values that the codes of activation(gate) * up stand for, in units of 32.
pub fn gated_codes(activation: Activation, gate: &[f32], up: &[f32], wide: bool) -> Vec<f32> {
    let mut gate = gate.to_vec();
    gated(activation, &mut gate, up);
    quantise(&gate, wide)
}
