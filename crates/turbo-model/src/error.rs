//! The error type of this crate.

use turbo_gguf::GgufError;

/// Why a file has no plan. Every message is one line.
///
/// `file` is the path of the file, `key` a metadata key, `tensor` a tensor name; shapes are in ggml order, row
/// length first.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "field names are explained once, above; messages say the rest")]
pub enum ModelError {
    /// Metadata of a wrong type, a required key that is absent, a tensor of an unknown type.
    #[error(transparent)]
    Gguf(#[from] GgufError),

    /// No code for this architecture.
    #[error(
        "{file}: architecture {found:?} is not supported, expected one of {}",
        supported.join(", ")
    )]
    UnknownArchitecture { file: String, found: String, supported: &'static [&'static str] },

    /// A key holds a value that no model can have, or that contradicts another key or the tensors.
    #[error("{file}: key {key:?} is {found}, expected {expected}")]
    InvalidKey { file: String, key: String, found: String, expected: String },

    /// The file asks for something that its architecture's plan does not do.
    #[error("{file}: key {key:?} is {found}: {needs}")]
    UnsupportedKey { file: String, key: String, found: String, needs: &'static str },

    /// A tensor that the architecture needs is absent.
    #[error(
        "{file}: tensor {tensor:?} is missing, expected shape {expected:?}; the file is incomplete, \
         convert the model again"
    )]
    MissingTensor { file: String, tensor: String, expected: Vec<u64> },

    /// A tensor's shape contradicts the metadata.
    #[error("{file}: tensor {tensor:?} has shape {found:?}, expected {expected:?} by the metadata")]
    Shape { file: String, tensor: String, found: Vec<u64>, expected: Vec<u64> },

    /// A tensor holds values that cannot be right.
    #[error("{file}: tensor {tensor:?} {found}, expected {expected}")]
    InvalidTensor { file: String, tensor: String, found: String, expected: &'static str },

    /// A tensor that the plan would leave out, which would change the results without a word.
    #[error(
        "{file}: tensor {tensor:?} is not part of a {architecture} model that this version knows; \
         running without it would give wrong results"
    )]
    UnknownTensor { file: String, tensor: String, architecture: String },
}
