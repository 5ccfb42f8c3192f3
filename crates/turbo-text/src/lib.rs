//! Tokenizers, streaming detokenisation and chat templates.

mod chat;
mod tokenizer;

pub use chat::{ChatError, ChatTemplate, RenderInput, message};
pub use tokenizer::{EncodeOptions, SpecialIds, StreamDecoder, TextError, TokenKind, Tokenizer, VocabSpec};
