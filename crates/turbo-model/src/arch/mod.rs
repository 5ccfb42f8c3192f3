//! The supported architectures, by the value of `general.architecture`.

mod llama;
mod qwen2;
mod qwen3;

use turbo_backend::plan::{Plan, RopeStyle};

use crate::ModelError;
use crate::decoder::{self, Traits};
use crate::keys::Keys;

/// Names, in the order that messages list them in.
pub(crate) const NAMES: &[&str] = &["llama", "mistral3", "qwen2", "qwen3"];

/// What an architecture of the pre-norm decoder family is like.
fn traits(architecture: &str) -> Option<&'static Traits> {
    match architecture {
        "llama" | "mistral3" => Some(&llama::TRAITS),
        "qwen2" => Some(&qwen2::TRAITS),
        "qwen3" => Some(&qwen3::TRAITS),
        _ => None,
    }
}

/// The pairing of an architecture's rotary embedding, if the architecture is supported.
pub(crate) fn rope_style(architecture: &str) -> Option<RopeStyle> {
    traits(architecture).map(|traits| traits.rope)
}

/// The plan of a file of any supported architecture.
pub(crate) fn plan(keys: Keys<'_>, tokens: Option<usize>) -> Result<Plan, ModelError> {
    let traits = traits(keys.architecture).ok_or_else(|| ModelError::UnknownArchitecture {
        file: keys.file_name(),
        found: keys.architecture.to_owned(),
        supported: NAMES,
    })?;
    decoder::plan(keys, traits, tokens)
}
