//! Log-probabilities in the shapes of the chat and the completions route.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::engine::Engine;
use crate::generation::Token;

/// What OpenAI writes for a probability too small to say.
const LOWEST: f32 = -9999.0;

/// `logprobs` of the chat route.
#[derive(Debug, Serialize)]
pub(super) struct ChatLogprobs {
    content: Vec<TokenLogprob>,
    refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct TokenLogprob {
    #[serde(flatten)]
    token: Alternative,
    top_logprobs: Vec<Alternative>,
}

#[derive(Debug, Serialize)]
struct Alternative {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
}

impl ChatLogprobs {
    /// Of these tokens; a token that came without log-probabilities is left out.
    pub(super) fn new(engine: &Arc<dyn Engine>, tokens: &[Token]) -> Self {
        let alternative = |id: u32, logprob: f32| {
            let bytes = engine.token_bytes(id);
            Alternative { token: String::from_utf8_lossy(&bytes).into_owned(), logprob: finite(logprob), bytes }
        };
        let content = tokens.iter().filter_map(|token| {
            let logprobs = token.logprobs.as_ref()?;
            let top_logprobs = logprobs.top.iter().map(|&(id, logprob)| alternative(id, logprob)).collect();
            Some(TokenLogprob { token: alternative(token.id, logprobs.logprob), top_logprobs })
        });
        Self { content: content.collect(), refusal: None }
    }
}

/// `logprobs` of the completions route.
#[derive(Debug, Default, Serialize)]
pub(super) struct TextLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f32>,
    top_logprobs: Vec<Map<String, Value>>,
    text_offset: Vec<usize>,
}

impl TextLogprobs {
    /// Of these tokens. `offset` is the place of the first one in the answer, in characters, and moves on past the last one.
    pub(super) fn new(engine: &Arc<dyn Engine>, tokens: &[Token], offset: &mut usize) -> Self {
        let mut all = Self::default();
        for token in tokens {
            let Some(logprobs) = &token.logprobs else { continue };
            let text = token_text(engine, token.id);
            all.text_offset.push(*offset);
            *offset += text.chars().count();
            all.tokens.push(text);
            all.token_logprobs.push(finite(logprobs.logprob));
            let top = logprobs.top.iter().map(|&(id, logprob)| (token_text(engine, id), Value::from(finite(logprob))));
            all.top_logprobs.push(top.collect());
        }
        all
    }
}

/// A token as text; one that is no whole characters as `bytes:\xe2\x82`, as OpenAI writes it.
fn token_text(engine: &Arc<dyn Engine>, id: u32) -> String {
    String::from_utf8(engine.token_bytes(id)).unwrap_or_else(|error| {
        let hex = error.as_bytes().iter().map(|byte| format!("\\x{byte:02x}"));
        format!("bytes:{}", hex.collect::<String>())
    })
}

fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { LOWEST }
}
