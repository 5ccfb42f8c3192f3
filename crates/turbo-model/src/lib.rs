//! GGUF metadata to a plan: layers and steps as data, one small file per architecture family.
//!
//! [`build_plan`] reads the sizes, checks every tensor's presence, shape and type, works rotary scaling into
//! frequencies and lists the steps; it reads no weights. What a file asks for and a plan does not do is refused by
//! name, including tensors that no step would use. [`describe`] tells people about a file of any architecture.
//!
//! # Architectures to come
//!
//! Today's steps cover `llama`, `mistral3`, `qwen2` and `qwen3`. [`Step`](turbo_backend::plan::Step) is open to
//! more variants; none of the ones above changes. What each other family needs:
//!
//! | architecture | with today's steps | new steps or fields |
//! |---|---|---|
//! | granite | `Embed.scale`, `AttentionSpec.scale`, `Scale` on branches before `Add` and on the logits | none |
//! | olmo2 | `RmsNorm` after attention and feed-forward; Q/K norm over the whole width is an `RmsNorm` with a wide weight | none |
//! | gemma2 | `Embed.scale`, post norms, `GeluTanh`, `AttentionSpec.soft_cap` and `.window` per layer, `SoftCap` on the logits | none |
//! | gemma3 | as gemma2 with Q/K norm; two entries in `Plan::ropes`, chosen per layer | none |
//! | phi3 | as llama | `Split`: copies ranges of a value (fused QKV and gate/up) into values of their own |
//! | qwen3moe | attention as qwen3 | `Route` (router product to expert ids and weights) and `ExpertMatMul` (a product with the chosen experts of a stacked tensor, summed by weight) |
//! | gpt-oss | `AttentionSpec.sinks`, `.window`, YaRN in the rope table, biases | as qwen3moe with biases per expert, and an `Activation` for the clamped SwiGLU |
//! | gemma4 | several layers' `Attention` reading one `slot` (only the first writes it), per-layer head sizes in `Plan::kv`, divisors in the rope table, `Scale` | `EmbedRange` (a layer's part of the per-layer embedding), `Mul` of two values, an `RmsNorm` without weight for V; with experts also `Route` and `ExpertMatMul` |
//! | qwen35 | full-attention layers as qwen3 with partial rope | state slots beside `Plan::kv`, `Conv1d` and `GatedDelta` steps that read and write them, `Split`, a sigmoid `GatedAct` for the gated output |
//! | qwen35moe | as qwen35 | as qwen35 and qwen3moe, with a sigmoid gate on the shared expert |

mod arch;
mod attention_keys;
mod builder;
mod decoder;
mod error;
mod file_type;
mod hparams;
mod info;
mod keys;
mod refuse;
mod rope;
mod rope_keys;

use turbo_backend::plan::Plan;
use turbo_gguf::GgufFile;

pub use error::ModelError;
pub use info::{ModelInfo, TensorTypes, describe};

/// The plan of a model, for the context it was trained for.
///
/// # Errors
/// An architecture without a plan; a key that is missing, of a wrong type, out of range or asking for something that
/// is not supported; a tensor that is missing, of a wrong shape or unknown type, or that no step would use.
pub fn build_plan(file: &GgufFile) -> Result<Plan, ModelError> {
    arch::plan(keys::Keys::new(file)?, None)
}

/// As [`build_plan`], for a context of `tokens`: with LongRoPE the frequencies depend on whether that is longer than
/// the context before the extension. Other models' plans are the same for every context.
///
/// # Errors
/// As [`build_plan`].
pub fn build_plan_for_context(file: &GgufFile, tokens: usize) -> Result<Plan, ModelError> {
    arch::plan(keys::Keys::new(file)?, Some(tokens))
}

/// Values of `general.architecture` that [`build_plan`] knows.
pub fn supported_architectures() -> &'static [&'static str] {
    arch::NAMES
}
