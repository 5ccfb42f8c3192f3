//! What the answers look like.

use std::hash::{BuildHasher, RandomState};

use serde::Serialize;
use turbo_runtime::{FinishReason, Timings, Usage};

use super::logprobs::{ChatLogprobs, TextLogprobs};
use crate::generation::End;

/// Identifies the software that answered.
const FINGERPRINT: &str = concat!("turbo-wgpu-", env!("CARGO_PKG_VERSION"));

/// The fields that every answer and every chunk of one answer share.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) system_fingerprint: &'static str,
}

impl Head {
    /// A head with a new id.
    pub(super) fn new(prefix: &str, object: &'static str, model: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A RandomState is seeded afresh each time, which is random enough for a name.
        let random = |salt: u64| RandomState::new().hash_one(salt);
        Self {
            id: format!("{prefix}-{:016x}{:016x}", random(1), random(2)),
            object,
            created: now.map_or(0, |elapsed| elapsed.as_secs()),
            model: model.to_owned(),
            system_fingerprint: FINGERPRINT,
        }
    }
}

/// An answer or a chunk of one, with choices of type `C`.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a, C> {
    #[serde(flatten)]
    pub(super) head: &'a Head,
    pub(super) choices: Vec<C>,
    /// `None` leaves the field out, `Some(None)` writes `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Option<UsageBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timings: Option<TimingsBody>,
}

/// A choice of a whole chat answer.
#[derive(Debug, Serialize)]
pub(super) struct ChatChoice {
    pub(super) index: usize,
    pub(super) message: ChatMessage,
    pub(super) logprobs: Option<ChatLogprobs>,
    pub(super) finish_reason: &'static str,
}

/// The message of a chat answer.
#[derive(Debug, Serialize)]
pub(super) struct ChatMessage {
    pub(super) role: &'static str,
    pub(super) content: String,
}

/// A choice of a chunk of a chat answer.
#[derive(Debug, Serialize)]
pub(super) struct ChatDelta {
    pub(super) index: usize,
    pub(super) delta: Delta,
    pub(super) logprobs: Option<ChatLogprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

/// What a chunk adds to a message.
#[derive(Debug, Default, Serialize)]
pub(super) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<String>,
}

/// A choice of a completion, whole or a chunk.
#[derive(Debug, Serialize)]
pub(super) struct TextChoice {
    pub(super) text: String,
    pub(super) index: usize,
    pub(super) logprobs: Option<TextLogprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

/// OpenAI's word for an end.
pub(super) fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        // A cancelled choice never reaches a client: it ends its request with an error.
        FinishReason::Stop | FinishReason::Cancelled => "stop",
        FinishReason::Length => "length",
    }
}

/// Token counts.
#[derive(Debug, Serialize)]
pub(super) struct UsageBody {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptDetails,
}

#[derive(Debug, Serialize)]
struct PromptDetails {
    cached_tokens: usize,
}

/// Durations and speeds, named as llama-server names them; milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct TimingsBody {
    cache_n: usize,
    prompt_n: usize,
    prompt_ms: f64,
    prompt_per_token_ms: f64,
    prompt_per_second: f64,
    predicted_n: usize,
    predicted_ms: f64,
    predicted_per_token_ms: f64,
    predicted_per_second: f64,
}

/// Usage and timings over the choices of one request.
#[derive(Debug, Default)]
pub(super) struct Totals {
    usage: Usage,
    timings: Timings,
    prompt_n: usize,
}

impl Totals {
    /// Adds a choice. A prompt with several choices counts once (`index` is that of [`crate::generation::Job`]); choices run side
    /// by side, so their times do not add up and the longest counts.
    pub(super) fn add(&mut self, index: usize, n: usize, end: &End) {
        if index.is_multiple_of(n) {
            self.usage.prompt_tokens += end.usage.prompt_tokens;
            self.usage.cached_tokens += end.usage.cached_tokens;
        }
        self.usage.completion_tokens += end.usage.completion_tokens;
        self.prompt_n += end.usage.prompt_tokens.saturating_sub(end.usage.cached_tokens);
        self.timings.prompt_ms = self.timings.prompt_ms.max(end.timings.prompt_ms);
        self.timings.predicted_ms = self.timings.predicted_ms.max(end.timings.predicted_ms);
    }

    pub(super) fn usage(&self) -> UsageBody {
        UsageBody {
            prompt_tokens: self.usage.prompt_tokens,
            completion_tokens: self.usage.completion_tokens,
            total_tokens: self.usage.prompt_tokens + self.usage.completion_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens: self.usage.cached_tokens },
        }
    }

    pub(super) fn timings(&self) -> TimingsBody {
        let (prompt_ms, predicted_ms) = (self.timings.prompt_ms, self.timings.predicted_ms);
        let predicted_n = self.usage.completion_tokens;
        TimingsBody {
            cache_n: self.usage.cached_tokens,
            prompt_n: self.prompt_n,
            prompt_ms,
            prompt_per_token_ms: ratio(prompt_ms, self.prompt_n as f64),
            prompt_per_second: ratio(self.prompt_n as f64 * 1e3, prompt_ms),
            predicted_n,
            predicted_ms,
            predicted_per_token_ms: ratio(predicted_ms, predicted_n as f64),
            predicted_per_second: ratio(predicted_n as f64 * 1e3, predicted_ms),
        }
    }
}

/// A quotient, 0 where nothing can be said: JSON has no infinity.
fn ratio(over: f64, under: f64) -> f64 {
    if under > 0.0 { over / under } else { 0.0 }
}
