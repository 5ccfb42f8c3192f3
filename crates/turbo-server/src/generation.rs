//! Runs the choices of one request on the engine and merges their events.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use turbo_runtime::{Event, FinishReason, GenerateRequest, RequestId, RuntimeError, Timings, TokenLogprobs, Usage};

use crate::engine::Engine;
use crate::error::ServerError;
use crate::state::{AppState, Phase};

/// The internal request: every protocol's body becomes this.
pub(crate) struct Job {
    /// Tokens of each prompt.
    pub(crate) prompts: Vec<Vec<u32>>,
    /// Choices per prompt. Choice `c` of prompt `p` has the index `p * n + c`.
    pub(crate) n: usize,
    /// Everything else about the generation; its `prompt` is replaced.
    pub(crate) request: GenerateRequest,
}

/// One step of one choice.
#[derive(Debug)]
pub(crate) enum Step {
    /// A token; `text` may be empty.
    Token { token: Token, text: String },
    /// The last step: text that was held back, and how it ended.
    Finished { text: String, end: End },
}

/// A generated token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// Its id.
    pub(crate) id: u32,
    /// Its log-probability and the likeliest alternatives, if asked for.
    pub(crate) logprobs: Option<TokenLogprobs>,
}

/// How a choice ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// Why.
    pub(crate) reason: FinishReason,
    /// Token counts.
    pub(crate) usage: Usage,
    /// Durations.
    pub(crate) timings: Timings,
}

/// A whole choice.
pub(crate) struct Answer {
    /// Its text.
    pub(crate) text: String,
    /// Its tokens.
    pub(crate) tokens: Vec<Token>,
    /// How it ended.
    pub(crate) end: End,
}

/// The choices of one request while they run. Dropping it cancels those that have not ended: that is how a client that leaves
/// ends its generation.
pub(crate) struct Running {
    engine: Arc<dyn Engine>,
    ids: Vec<Option<RequestId>>,
    events: mpsc::UnboundedReceiver<(usize, Event)>,
    phase: watch::Receiver<Phase>,
}

impl Running {
    /// Queues every choice.
    pub(crate) fn start(state: &AppState, job: Job) -> Result<Self, ServerError> {
        if state.phase() != Phase::Running {
            return Err(ServerError::ShuttingDown);
        }
        // Unbounded, because the engine's thread must not wait for a client; max_tokens and the context bound it.
        let (sender, events) = mpsc::unbounded_channel();
        let engine = Arc::clone(state.engine());
        let mut running = Self { engine, ids: Vec::new(), events, phase: state.watch_phase() };
        let choices = job.prompts.iter().flat_map(|prompt| (0..job.n).map(move |choice| (prompt, choice)));
        for (index, (prompt, choice)) in choices.enumerate() {
            let mut request = GenerateRequest { prompt: prompt.clone(), ..job.request.clone() };
            // The same seed would make all choices the same.
            request.sampling.seed = request.sampling.seed.map(|seed| seed.wrapping_add(choice as u64));
            let sender = sender.clone();
            let sink = Box::new(move |event| sender.send((index, event)).is_ok());
            let id = running.engine.generate(request, sink).inspect_err(|error| {
                if matches!(error, RuntimeError::Stopped(_)) {
                    state.note_engine_gone();
                }
            })?;
            running.ids.push(Some(id));
        }
        Ok(running)
    }

    /// The next step of any choice with that choice's index; `None` when all have ended. After an error nothing more comes.
    pub(crate) async fn next(&mut self) -> Option<Result<(usize, Step), ServerError>> {
        while self.ids.iter().any(Option::is_some) {
            let step = match self.receive().await {
                Ok((index, event)) => self.step(index, event),
                Err(error) => Err(error),
            };
            match step {
                Ok(Some(step)) => return Some(Ok(step)),
                Ok(None) => {}
                Err(error) => {
                    self.cancel();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    async fn receive(&mut self) -> Result<(usize, Event), ServerError> {
        tokio::select! {
            event = self.events.recv() => {
                event.ok_or_else(|| ServerError::Failed(String::from("the engine ended it without a word")))
            }
            Ok(_) = self.phase.wait_for(|phase| *phase == Phase::Closing) => Err(ServerError::ShuttingDown),
        }
    }

    /// What an event means for a client; nothing for the start of the work.
    fn step(&mut self, index: usize, event: Event) -> Result<Option<(usize, Step)>, ServerError> {
        let step = match event {
            Event::Started { .. } => return Ok(None),
            Event::Token { id, text, logprobs } => Step::Token { token: Token { id, logprobs }, text },
            Event::Finished { text, reason, usage, timings } => {
                self.ids[index] = None;
                if reason == FinishReason::Cancelled {
                    return Err(ServerError::Failed(String::from("the engine cancelled it")));
                }
                Step::Finished { text, end: End { reason, usage, timings } }
            }
            Event::Failed { message } => {
                self.ids[index] = None;
                return Err(ServerError::Failed(message));
            }
        };
        Ok(Some((index, step)))
    }

    /// Runs every choice to its end.
    pub(crate) async fn collect(mut self) -> Result<Vec<Answer>, ServerError> {
        let mut open: Vec<(String, Vec<Token>, Option<End>)> = Vec::new();
        open.resize_with(self.ids.len(), Default::default);
        while let Some(step) = self.next().await {
            let (index, step) = step?;
            let (text, tokens, end) = &mut open[index];
            match step {
                Step::Token { token, text: more } => {
                    text.push_str(&more);
                    tokens.push(token);
                }
                Step::Finished { text: rest, end: how } => {
                    text.push_str(&rest);
                    *end = Some(how);
                }
            }
        }
        let whole = |(text, tokens, end): (String, Vec<Token>, Option<End>)| {
            end.map(|end| Answer { text, tokens, end })
                .ok_or_else(|| ServerError::Failed(String::from("a choice has no end")))
        };
        open.into_iter().map(whole).collect()
    }

    fn cancel(&mut self) {
        for id in self.ids.iter_mut().filter_map(Option::take) {
            self.engine.cancel(id);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel();
    }
}
