//! One generation while it runs.

use std::sync::Arc;
use std::time::Instant;

use turbo_text::{StreamDecoder, Tokenizer};

use crate::context::Sequence;
use crate::request::{Event, EventSink, FinishReason, GenerateRequest, RequestId, Timings, TokenLogprobs, Usage};
use crate::sampling::{Sampler, logprobs};
use crate::stop::StopMatcher;

/// A generation between its request and its last event.
pub(super) struct Task {
    pub(super) id: RequestId,
    /// All tokens: the prompt, then what was generated.
    pub(super) tokens: Vec<u32>,
    /// The cache; `sequence.len()` tokens of `tokens` are in it.
    pub(super) sequence: Sequence,
    prompt_tokens: usize,
    cached_tokens: usize,
    max_tokens: usize,
    ignore_eos: bool,
    logprobs: Option<usize>,
    sampler: Sampler,
    decoder: StreamDecoder<Arc<Tokenizer>>,
    stop: StopMatcher,
    sink: EventSink,
    started: Option<Instant>,
    first_token: Option<Instant>,
}

impl Task {
    pub(super) fn new(
        id: RequestId,
        request: GenerateRequest,
        tokenizer: &Arc<Tokenizer>,
        context: usize,
        sink: EventSink,
    ) -> Self {
        let prompt_tokens = request.prompt.len();
        let room = context - prompt_tokens;
        Self {
            id,
            sampler: Sampler::new(request.sampling, &request.prompt),
            tokens: request.prompt,
            sequence: Sequence::default(),
            prompt_tokens,
            cached_tokens: 0,
            max_tokens: request.max_tokens.map_or(room, |n| n.min(room)),
            ignore_eos: request.ignore_eos,
            logprobs: request.logprobs,
            decoder: StreamDecoder::new(Arc::clone(tokenizer), false),
            stop: StopMatcher::new(&request.stop),
            sink,
            started: None,
            first_token: None,
        }
    }

    /// Tells the caller that work begins with `cached` tokens in the cache. `false`: the caller has gone.
    pub(super) fn start(&mut self, cached: usize) -> bool {
        if self.started.is_some() {
            return true;
        }
        self.cached_tokens = cached;
        self.started = Some(Instant::now());
        (self.sink)(Event::Started { prompt_tokens: self.prompt_tokens, cached_tokens: cached })
    }

    /// Tokens that still have to go through the model.
    pub(super) fn pending(&self) -> &[u32] {
        &self.tokens[self.sequence.len()..]
    }

    /// Tokens generated.
    pub(super) fn generated(&self) -> usize {
        self.tokens.len() - self.prompt_tokens
    }

    /// Chooses the next token from `row`, tells the caller. `true`: the generation is over and was ended.
    pub(super) fn advance(&mut self, row: &mut [f32], tokenizer: &Tokenizer) -> bool {
        self.first_token.get_or_insert_with(Instant::now);
        if self.max_tokens == 0 {
            return self.finish(FinishReason::Length);
        }
        let unchanged = self.logprobs.map(|n| (n, row.to_vec()));
        let Some(id) = self.sampler.sample(row) else {
            return self.fail("the model's output has no finite logit".into());
        };
        if tokenizer.is_end_of_generation(id) && !self.ignore_eos {
            return self.finish(FinishReason::Stop);
        }
        self.tokens.push(id);
        let report = unchanged.map(|(n, row)| logprobs(&row, id, n));
        self.emit(id, report)
    }

    fn emit(&mut self, id: u32, logprobs: Option<TokenLogprobs>) -> bool {
        let (text, stopped) = self.stop.push(&self.decoder.push(id));
        if !(self.sink)(Event::Token { id, text, logprobs }) {
            return self.finish(FinishReason::Cancelled);
        }
        if stopped {
            return self.finish(FinishReason::Stop);
        }
        if self.generated() >= self.max_tokens {
            return self.finish(FinishReason::Length);
        }
        false
    }

    /// Ends the generation; always `true`.
    pub(super) fn finish(&mut self, reason: FinishReason) -> bool {
        let (mut text, stopped) = self.stop.push(&self.decoder.finish());
        if !stopped {
            text.push_str(&self.stop.finish());
        }
        let now = Instant::now();
        let started = self.started.unwrap_or(now);
        let first = self.first_token.unwrap_or(now);
        let usage = Usage {
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            completion_tokens: self.generated(),
        };
        let timings = Timings {
            prompt_ms: (first - started).as_secs_f64() * 1e3,
            predicted_ms: (now - first).as_secs_f64() * 1e3,
        };
        (self.sink)(Event::Finished { text, reason, usage, timings });
        true
    }

    /// Ends the generation with an error; always `true`.
    pub(super) fn fail(&mut self, message: String) -> bool {
        (self.sink)(Event::Failed { message });
        true
    }
}
