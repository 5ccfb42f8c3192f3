//! Choosing tokens on the device: plain twins of `wgsl/kernels/sampling`.

pub mod choose;
pub mod chunk_maxima;

/// A logit as a whole number in the same order: larger for larger logits, 0 for what cannot be chosen (nan and minus
/// infinity).
pub fn logit_key(logit: f32) -> u32 {
    let bits = logit.to_bits();
    match bits {
        _ if logit.is_nan() || logit == f32::NEG_INFINITY => 0,
        _ if bits >> 31 != 0 => !bits,
        _ => bits | 0x8000_0000,
    }
}
