//! `llama`: LLaMA 1 to 3, Mistral, SmolLM, Yi, and many converted to its layout; `mistral3`: the same layers.
//!
//! The converter permutes the rows of Q and K so that pairs lie side by side, hence the interleaved rope
//! (source: `LlamaModel.permute` of llama.cpp's convert_hf_to_gguf.py; `llama_model_rope_type` of llama.cpp).

use turbo_backend::plan::RopeStyle;

use crate::decoder::{Presence, Traits};

pub(super) const TRAITS: Traits = Traits {
    rope: RopeStyle::Interleaved,
    qkv_bias: Presence::Optional,
    other_bias: Presence::Optional,
    logits_bias: Presence::Never,
    qk_norm: false,
    rope_divisors: true,
    window_everywhere: true,
};
