//! Tokenizers, streaming detokenisation and chat templates.

mod chat;

pub use chat::{ChatError, ChatTemplate, RenderInput, message};
