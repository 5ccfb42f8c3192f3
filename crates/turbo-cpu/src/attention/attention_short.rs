//! Twin of `wgsl/kernels/attention/attention_short.wgsl`: class Bounded for the rounding (f16: for everything).

use super::attention_combine_codes::combine_codes;

/// The values that the codes of the heads `out`, as [`super::twin::attend`] gives them, stand for: 8-bit codes.
pub fn short_codes(out: &[f32]) -> Vec<f32> {
    combine_codes(out, false)
}
