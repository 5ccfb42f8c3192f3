//! `qwen2`: Qwen 1.5, 2 and 2.5, and models distilled into them. Biases on Q, K and V.
//!
//! Source: the Qwen2 technical report (2024), section 2.2.1; tensor names of llama.cpp.

use turbo_backend::plan::RopeStyle;

use crate::decoder::{Presence, Traits};

pub(super) const TRAITS: Traits = Traits {
    rope: RopeStyle::Neox,
    qkv_bias: Presence::Required,
    other_bias: Presence::Never,
    logits_bias: Presence::Optional,
    qk_norm: false,
    rope_divisors: false,
    window_everywhere: false,
};
