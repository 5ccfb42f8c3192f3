//! `qwen3`: Qwen 3, dense. Every Q and K head is normalised before rope, and heads have a size of their own.
//!
//! Source: the Qwen3 technical report (2025), section 2; tensor names of llama.cpp.

use turbo_backend::plan::RopeStyle;

use crate::decoder::{Presence, Traits};

pub(super) const TRAITS: Traits = Traits {
    rope: RopeStyle::Neox,
    qkv_bias: Presence::Optional,
    other_bias: Presence::Never,
    logits_bias: Presence::Never,
    qk_norm: true,
    rope_divisors: false,
    window_everywhere: false,
};
