//! What can be wrong with a file's vocabulary.

/// Failures of building a [`super::Tokenizer`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A key without which there is no tokenizer is absent.
    #[error(
        "metadata key `{key}` is missing: without it text cannot be tokenized; convert the model again with its tokenizer"
    )]
    MissingKey {
        /// The metadata key.
        key: &'static str,
    },
    /// A key has a value of another type.
    #[error("cannot read the metadata key `{key}`: {source}")]
    Metadata {
        /// The metadata key.
        key: &'static str,
        /// The reader's error: what was found and what was expected.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A kind of vocabulary that no tokenizer here reads.
    #[error(
        "tokenizer model `{model}` (`tokenizer.ggml.model`) is not supported; supported are gpt2, llama and gemma4"
    )]
    UnknownModel {
        /// The value of `tokenizer.ggml.model`.
        model: String,
    },
    /// A pre-tokenizer that is not known.
    #[error(
        "pre-tokenizer `{name}` (`tokenizer.ggml.pre`) is not known, and a guess would give wrong tokens; known are {known}"
    )]
    UnknownPreTokenizer {
        /// The value of `tokenizer.ggml.pre`.
        name: String,
        /// The known names.
        known: String,
    },
    /// An expression of this crate's own table does not compile.
    #[error("the expression of pre-tokenizer `{name}` does not compile: {detail}")]
    Expression {
        /// Name of the pre-tokenizer.
        name: String,
        /// What is wrong.
        detail: String,
    },
    /// Two arrays that describe the same tokens differ in length.
    #[error("metadata key `{key}` has {found} entries, but `tokenizer.ggml.tokens` has {expected}; they must be equal")]
    LengthMismatch {
        /// The metadata key.
        key: &'static str,
        /// Its entries.
        found: usize,
        /// The number of tokens.
        expected: usize,
    },
    /// The vocabulary has no tokens, or more than ids can count.
    #[error("metadata key `tokenizer.ggml.tokens` has {found} entries; expected between 1 and {most}")]
    TokenCount {
        /// Entries found.
        found: usize,
        /// The most that are supported.
        most: usize,
    },
    /// Two tokens have the same text.
    #[error(
        "metadata key `tokenizer.ggml.tokens`: tokens {first} and {second} are both {text:?}; each token needs its own text"
    )]
    DuplicateToken {
        /// The text.
        text: String,
        /// The first id.
        first: u32,
        /// The second id.
        second: u32,
    },
    /// A merge is not two texts with a space between them.
    #[error(
        "metadata key `tokenizer.ggml.merges`: entry {index} is {text:?}; expected two token texts with a space between them"
    )]
    BadMerge {
        /// Index of the merge.
        index: usize,
        /// Its text.
        text: String,
    },
    /// A special token's id is not one of the vocabulary's.
    #[error("metadata key `{key}` is {id}, but the vocabulary has {n_tokens} tokens; the id must be below that")]
    IdOutOfRange {
        /// The metadata key.
        key: &'static str,
        /// The id found.
        id: u64,
        /// The number of tokens.
        n_tokens: usize,
    },
}
