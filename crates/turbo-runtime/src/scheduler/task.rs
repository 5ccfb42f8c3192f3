//! One generation while it runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use turbo_backend::{Choice, LogitsFor};
use turbo_text::{StreamDecoder, Tokenizer};

use crate::context::Sequence;
use crate::request::{Event, EventSink, FinishReason, GenerateRequest, RequestId, Timings, TokenLogprobs, Usage};
use crate::sampling::{Sampler, logprobs};
use crate::stop::StopMatcher;

/// What a generation can put into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So many known tokens.
    Tokens(usize),
    /// The token that the device has chosen, which is not known yet.
    Chosen,
    /// Nothing, before a batch that has it is collected.
    Wait,
}

/// A generation between its request and its last event.
pub(super) struct Task {
    pub(super) id: RequestId,
    /// All tokens: the prompt, then what was generated.
    pub(super) tokens: Vec<u32>,
    /// The cache; `sequence.len()` tokens of `tokens` are in it.
    pub(super) sequence: Sequence,
    /// Where the device keeps the token that it chooses.
    pub(super) place: Option<u32>,
    /// Draws of the choices that were submitted and not collected.
    draws: VecDeque<f64>,
    /// Draws of choices that were forgotten, for those that take their place.
    old_draws: VecDeque<f64>,
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
            place: None,
            draws: VecDeque::new(),
            old_draws: VecDeque::new(),
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

    /// Known tokens that still have to go through the model.
    pub(super) fn pending(&self) -> &[u32] {
        &self.tokens[self.sequence.len().min(self.tokens.len())..]
    }

    /// What it can put into the next batch.
    pub(super) fn next(&self) -> Next {
        match self.pending().len() {
            0 if self.draws.is_empty() || self.generated() + self.draws.len() >= self.max_tokens => Next::Wait,
            0 => Next::Chosen,
            n => Next::Tokens(n),
        }
    }

    /// What it wants to know after the next `share` tokens, which are then in a batch.
    pub(super) fn logits_after(&mut self, share: usize) -> LogitsFor {
        if share < self.pending().len() {
            return LogitsFor::None;
        }
        let device = self.place.filter(|_| self.logprobs.is_none());
        let Some(choice) = device.and_then(|place| self.sampler.choice(place)) else { return LogitsFor::Last };
        let unit = self.old_draws.pop_front().unwrap_or_else(|| self.sampler.draw_unit());
        self.draws.push_back(unit);
        LogitsFor::Choice(Choice { unit, ..choice })
    }

    /// Forgets the choices that were submitted; the same draws will be used for their like.
    pub(super) fn forget_choices(&mut self) {
        self.draws.append(&mut self.old_draws);
        std::mem::swap(&mut self.draws, &mut self.old_draws);
    }

    /// Takes the token that the device chose, tells the caller. `true`: the generation is over and was ended.
    pub(super) fn take_chosen(&mut self, token: Option<u32>, tokenizer: &Tokenizer) -> bool {
        self.first_token.get_or_insert_with(Instant::now);
        self.draws.pop_front();
        if self.max_tokens == 0 {
            return self.finish(FinishReason::Length);
        }
        if let Some(id) = token {
            self.sampler.accept(id);
        }
        self.take(token, None, tokenizer)
    }

    /// Tokens generated.
    pub(super) fn generated(&self) -> usize {
        self.tokens.len() - self.prompt_tokens
    }

    /// Chooses the next token from `row`, tells the caller. `true`: the generation is over and was ended.
    pub(super) fn choose_from(&mut self, row: &mut [f32], tokenizer: &Tokenizer) -> bool {
        self.first_token.get_or_insert_with(Instant::now);
        if self.max_tokens == 0 {
            return self.finish(FinishReason::Length);
        }
        let unchanged = self.logprobs.map(|n| (n, row.to_vec()));
        let token = self.sampler.sample(row);
        let report = unchanged.zip(token).map(|((n, row), id)| logprobs(&row, id, n));
        self.take(token, report, tokenizer)
    }

    /// Goes on with `token`, `None` if there was nothing to choose.
    fn take(&mut self, token: Option<u32>, report: Option<TokenLogprobs>, tokenizer: &Tokenizer) -> bool {
        let Some(id) = token else {
            return self.fail("the model's output has no finite logit".into());
        };
        if tokenizer.is_end_of_generation(id) && !self.ignore_eos {
            return self.finish(FinishReason::Stop);
        }
        self.tokens.push(id);
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
