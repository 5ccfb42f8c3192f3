//! Metadata that changes a model's arithmetic in a way the plans of this crate do not follow.
//!
//! Leaving such a key unread would give wrong text without a word, so each is refused by name unless it holds
//! its neutral value.

use turbo_gguf::Value;

use crate::ModelError;
use crate::keys::Keys;

/// A value that leaves the arithmetic as it is.
enum Neutral {
    /// 0 or false: the feature is off.
    Off,
    /// 1: a factor without effect.
    One,
    /// true.
    True,
}

const NEEDS_EXPERTS: &str = "the model needs mixture-of-experts steps (router and expert products), \
     which are not supported; use a dense model";

/// Key, neutral value, what the model needs.
const REFUSED: &[(&str, Neutral, &str)] = &[
    ("expert_count", Neutral::Off, NEEDS_EXPERTS),
    ("attention.causal", Neutral::True, "the model is an encoder with two-way attention, which cannot generate text"),
    ("attention.temperature_scale", Neutral::Off, "queries scaled by their position are not supported"),
    (
        "attention.sliding_window_pattern",
        Neutral::Off,
        "sliding windows in some layers only are not supported for this architecture",
    ),
    (
        "attention.shared_kv_layers",
        Neutral::Off,
        "layers that share a KV cache are not supported for this architecture",
    ),
    ("attention.clamp_kqv", Neutral::Off, "clamped queries, keys and values are not supported"),
    ("attention.max_alibi_bias", Neutral::Off, "ALiBi position biases are not supported"),
    ("attn_logit_softcapping", Neutral::Off, "capped attention scores are not supported for this architecture"),
    ("final_logit_softcapping", Neutral::Off, "capped logits are not supported for this architecture"),
    ("logit_scale", Neutral::One, "scaled logits are not supported for this architecture"),
    ("embedding_scale", Neutral::One, "scaled embeddings are not supported for this architecture"),
    ("residual_scale", Neutral::One, "scaled residuals are not supported for this architecture"),
    ("use_parallel_residual", Neutral::Off, "parallel residuals are not supported for this architecture"),
    (
        "rope.dimension_sections",
        Neutral::Off,
        "sectioned (multimodal) rotary embeddings are not supported for this architecture",
    ),
    (
        "rope.freq_base_swa",
        Neutral::Off,
        "a second rotary base for windowed layers is not supported for this architecture",
    ),
    (
        "rope.scaling.alpha",
        Neutral::Off,
        "NTK-aware alpha scaling of rotary embeddings is not supported for this architecture",
    ),
    (
        "rope.scaling.yarn_attn_factor",
        Neutral::One,
        "a YaRN attention factor of its own is not supported; the paper's is used",
    ),
];

/// Refuses the first key that asks for something the plan does not do.
pub(crate) fn check(keys: &Keys<'_>) -> Result<(), ModelError> {
    for (suffix, neutral, needs) in REFUSED {
        let key = keys.key(suffix);
        if let Some(value) = keys.file.metadata().get(&key)
            && !neutral.matches(value)
        {
            let (file, found) = (keys.file_name(), value.describe());
            return Err(ModelError::UnsupportedKey { file, key, found, needs });
        }
    }
    Ok(())
}

impl Neutral {
    fn matches(&self, value: &Value) -> bool {
        let number = match *value {
            Value::U8(v) => f64::from(v),
            Value::I8(v) => f64::from(v),
            Value::U16(v) => f64::from(v),
            Value::I16(v) => f64::from(v),
            Value::U32(v) => f64::from(v),
            Value::I32(v) => f64::from(v),
            Value::U64(v) => v as f64,
            Value::I64(v) => v as f64,
            Value::F32(v) => f64::from(v),
            Value::F64(v) => v,
            Value::Bool(v) => f64::from(u8::from(v)),
            Value::String(_) | Value::Array(_) => return false,
        };
        match self {
            // A factor of 0 is how converters write "none".
            Self::One => number == 1.0 || number == 0.0,
            Self::Off => number == 0.0,
            Self::True => number == 1.0,
        }
    }
}
