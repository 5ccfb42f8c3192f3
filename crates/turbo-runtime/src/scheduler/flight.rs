//! What the engine thread remembers of a batch until its results are there.

use turbo_backend::LogitsFor;

use crate::request::RequestId;

/// A batch that was submitted.
#[derive(Default)]
pub(super) struct Flight {
    /// In the order of the batch.
    pub(super) parts: Vec<Part>,
}

/// What a generation has in a batch.
pub(super) struct Part {
    pub(super) id: RequestId,
    /// Tokens in its cache before.
    pub(super) before: usize,
    /// Tokens in the batch.
    pub(super) tokens: usize,
    /// Whether it gets a row of logits.
    pub(super) logits: bool,
    /// Whether it gets a token that the device chooses.
    pub(super) choice: bool,
}

impl Flight {
    pub(super) fn add(&mut self, id: RequestId, before: usize, tokens: usize, logits: &LogitsFor) {
        let choice = matches!(logits, LogitsFor::Choice(_));
        self.parts.push(Part { id, before, tokens, logits: *logits == LogitsFor::Last, choice });
    }
}
