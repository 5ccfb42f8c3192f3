//! Twin of `wgsl/kernels/attention/attention_combine_codes.wgsl`: class Bounded for the rounding (f16 V: for everything).

use crate::ops::quantise::quantise;

/// The values that the codes of the heads `out`, as [`super::twin::attend`] gives them, stand for; `wide` codes have 16
/// bits instead of 8.
pub fn combine_codes(out: &[f32], wide: bool) -> Vec<f32> {
    quantise(out, wide)
}
