//! Server-sent events: one chunk per piece of text, then the token counts if asked for, then `[DONE]`.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use turbo_runtime::FinishReason;

use super::failure::Failure;
use super::params::Params;
use super::types::{Body, Head, Totals};
use crate::error::ServerError;
use crate::generation::{End, Running, Step, Token};

/// How a route shapes its chunks.
pub(super) trait Shape: Send + 'static {
    /// A choice in a chunk.
    type Choice: Serialize + Send;

    /// What comes before the first piece of a choice.
    fn opening(&mut self, index: usize) -> Option<Self::Choice>;

    /// A piece of text with the tokens that made it (none unless log-probabilities were asked for).
    fn piece(&mut self, index: usize, text: String, tokens: &[Token]) -> Self::Choice;

    /// The end of a choice.
    fn ending(&mut self, index: usize, reason: FinishReason) -> Self::Choice;
}

/// The answer to a streaming request.
pub(super) fn respond<S: Shape>(running: Running, shape: S, head: Head, params: &Params, choices: usize) -> Response {
    let chunks = Chunks {
        running,
        shape,
        head,
        n: params.n,
        include_usage: params.include_usage,
        logprobs: params.request.logprobs.is_some(),
        open: (0..choices).map(|_| Open::default()).collect(),
        totals: Totals::default(),
        queue: VecDeque::new(),
        done: false,
    };
    let events = stream::unfold(chunks, |mut chunks| async move {
        let event = chunks.next().await?;
        Some((Ok::<_, Infallible>(event), chunks))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// A choice on its way.
#[derive(Default)]
struct Open {
    opened: bool,
    /// Tokens with log-probabilities whose text is still incomplete.
    tokens: Vec<Token>,
}

struct Chunks<S: Shape> {
    running: Running,
    shape: S,
    head: Head,
    n: usize,
    include_usage: bool,
    logprobs: bool,
    open: Vec<Open>,
    totals: Totals,
    queue: VecDeque<Event>,
    done: bool,
}

impl<S: Shape> Chunks<S> {
    async fn next(&mut self) -> Option<Event> {
        while self.queue.is_empty() && !self.done {
            match self.running.next().await {
                Some(Ok((index, Step::Token { token, text }))) => self.piece(index, Some(token), text),
                Some(Ok((index, Step::Finished { text, end }))) => self.finish(index, text, &end),
                Some(Err(error)) => self.fail(error),
                None => self.close(),
            }
        }
        self.queue.pop_front()
    }

    fn piece(&mut self, index: usize, token: Option<Token>, text: String) {
        let open = &mut self.open[index];
        open.tokens.extend(token.filter(|_| self.logprobs));
        if text.is_empty() {
            return;
        }
        let tokens = std::mem::take(&mut open.tokens);
        self.open_choice(index);
        let choice = self.shape.piece(index, text, &tokens);
        self.push(vec![choice], None);
    }

    fn finish(&mut self, index: usize, text: String, end: &End) {
        let tokens = std::mem::take(&mut self.open[index].tokens);
        self.open_choice(index);
        if !text.is_empty() || !tokens.is_empty() {
            let choice = self.shape.piece(index, text, &tokens);
            self.push(vec![choice], None);
        }
        self.totals.add(index, self.n, end);
        let mut own = Totals::default();
        own.add(0, 1, end);
        let choice = self.shape.ending(index, end.reason);
        self.push(vec![choice], Some(&own));
    }

    fn open_choice(&mut self, index: usize) {
        if !std::mem::replace(&mut self.open[index].opened, true)
            && let Some(choice) = self.shape.opening(index)
        {
            self.push(vec![choice], None);
        }
    }

    fn close(&mut self) {
        if self.include_usage {
            let body = Body::<S::Choice> {
                head: &self.head,
                choices: Vec::new(),
                usage: Some(Some(self.totals.usage())),
                timings: Some(self.totals.timings()),
            };
            self.queue.push_back(event(&body));
        }
        self.end();
    }

    /// The status is out already, so an error goes into the stream.
    fn fail(&mut self, error: ServerError) {
        tracing::error!(%error, "stream failed");
        self.queue.push_back(event(&Failure::from(error).body()));
        self.end();
    }

    fn end(&mut self) {
        self.queue.push_back(Event::default().data("[DONE]"));
        self.done = true;
    }

    fn push(&mut self, choices: Vec<S::Choice>, totals: Option<&Totals>) {
        let usage = self.include_usage.then_some(None);
        let body = Body { head: &self.head, choices, usage, timings: totals.map(Totals::timings) };
        self.queue.push_back(event(&body));
    }
}

/// One event with a JSON body.
fn event(body: &impl Serialize) -> Event {
    // These types always serialise; an event without data would only be skipped by clients.
    Event::default().json_data(body).unwrap_or_default()
}
