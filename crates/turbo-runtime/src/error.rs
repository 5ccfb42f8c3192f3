//! Everything that can go wrong between a model file and a generated token.

use turbo_backend::{BackendError, UnsupportedHead};

use crate::fit::Footprint;

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The file is not a usable GGUF file.
    #[error(transparent)]
    Gguf(#[from] turbo_gguf::GgufError),
    /// The model in it cannot be planned.
    #[error(transparent)]
    Model(#[from] turbo_model::ModelError),
    /// Its vocabulary or chat template cannot be used.
    #[error(transparent)]
    Text(#[from] turbo_text::TextError),
    /// Its chat template does not work.
    #[error(transparent)]
    Chat(#[from] turbo_text::ChatError),
    /// The device failed or refused.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A head size that no KV type can store.
    #[error(transparent)]
    Head(#[from] UnsupportedHead),
    /// The model with the context asked for does not fit.
    #[error("{0}")]
    DoesNotFit(Box<Footprint>),
    /// A context of no tokens.
    #[error("a context of 0 tokens holds nothing: give -c a positive number of tokens")]
    EmptyContext,
    /// The prompt has no tokens.
    #[error("the prompt is empty: it has no tokens")]
    EmptyPrompt,
    /// The prompt does not leave room for an answer.
    #[error(
        "the prompt has {prompt} tokens, the context holds {context} (prompt and answer together): \
         shorten the prompt or start with a larger context (-c)"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// A token id that the model does not have.
    #[error("token id {id} is not in the vocabulary of {n_vocab} tokens")]
    UnknownToken {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        n_vocab: usize,
    },
    /// A sampling parameter outside its range.
    #[error("{name} is {value}, expected {expected}")]
    Parameter {
        /// Name as users write it.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is valid.
        expected: &'static str,
    },
    /// The engine thread has ended.
    #[error("the engine has stopped: {0}")]
    Stopped(String),
}
