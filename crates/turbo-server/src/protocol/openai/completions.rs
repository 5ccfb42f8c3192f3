//! `POST /v1/completions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use turbo_runtime::FinishReason;

use super::logprobs::TextLogprobs;
use super::params::{MAX_CHOICES, Params};
use super::stream::{self, Shape};
use super::types::{Body, Head, TextChoice, Totals, finish_reason};
use super::{Failure, blocking, check_model, with_ignored};
use crate::body::read_json;
use crate::engine::Engine;
use crate::error::ServerError;
use crate::fields::{Fields, wrong};
use crate::generation::{Answer, Job, Running, Token};
use crate::state::AppState;

/// Alternatives per token that may be asked for.
const MAX_LOGPROBS: i64 = 20;

/// A prompt as it was sent.
#[derive(Clone)]
enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

/// What was asked for.
struct Asked {
    prompts: Vec<Prompt>,
    /// Whether answers begin with their prompt.
    echo: bool,
    params: Params,
    /// Names of the fields that had no effect.
    ignored: Vec<String>,
}

/// Prompts ready for the engine.
struct Prepared {
    /// Tokens of each prompt.
    ids: Vec<Vec<u32>>,
    /// Texts of the prompts, where answers begin with them.
    echoes: Option<Vec<String>>,
}

/// The route.
pub(super) async fn completions(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let body = read_json(request).await?;
    let engine = Arc::clone(state.engine());
    let Asked { prompts, echo, params, ignored } = read(&body, &engine)?;
    let worker = Arc::clone(&engine);
    let Prepared { ids, echoes } = blocking(move || prepare(&worker, prompts, echo)).await?;
    let choices = ids.len() * params.n;
    let running = Running::start(&state, Job { prompts: ids, n: params.n, request: params.request.clone() })?;
    let head = Head::new("cmpl", "text_completion", engine.model_name());
    let logprobs = params.request.logprobs.is_some();
    let mut shape = Text { engine, logprobs, n: params.n, echoes, offsets: vec![0; choices] };
    let response = if params.stream {
        stream::respond(running, shape, head, &params, choices)
    } else {
        whole(&mut shape, &head, running.collect().await?)
    };
    Ok(with_ignored(response, &ignored))
}

fn read(body: &Value, engine: &Arc<dyn Engine>) -> Result<Asked, ServerError> {
    let fields = Fields::of_body(body)?;
    check_model(engine, fields.text("model")?)?;
    let mut params = Params::read(&fields, engine.context_tokens())?;
    params.request.logprobs = fields.integer("logprobs", 0..=MAX_LOGPROBS)?.map(|top| top as usize);
    let echo = fields.flag("echo")?;
    let unsupported =
        |field: &str, hint: &str| Err(ServerError::Unsupported { field: field.into(), hint: hint.into() });
    if echo && params.request.logprobs.is_some() {
        return unsupported("echo together with logprobs", "log-probabilities are given for generated tokens only");
    }
    if fields.text("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        return unsupported("suffix", "leave it out; text is only generated after the prompt");
    }
    if fields.integer("best_of", 1..=MAX_CHOICES as i64)?.is_some_and(|best_of| best_of as usize != params.n) {
        return unsupported("best_of other than n", "ask for n choices and pick one");
    }
    fields.get("user"); // names the end user for abuse reports: nothing to do here
    let prompts = prompts(fields.required("prompt", PROMPT)?)?;
    if prompts.len() * params.n > MAX_CHOICES {
        let found = format!("{} prompts with n = {}", prompts.len(), params.n);
        let expected = format!("at most {MAX_CHOICES} choices in all");
        return Err(ServerError::Field { field: "prompt".into(), found, expected });
    }
    Ok(Asked { prompts, echo, params, ignored: fields.unread() })
}

const PROMPT: &str = "a string, an array of strings, an array of token ids or an array of such arrays";

fn prompts(value: &Value) -> Result<Vec<Prompt>, ServerError> {
    let items = match value {
        Value::String(text) => return Ok(vec![Prompt::Text(text.clone())]),
        Value::Array(items) => items,
        other => return Err(wrong("prompt", other, PROMPT)),
    };
    if matches!(items.first(), None | Some(Value::Number(_))) {
        return Ok(vec![Prompt::Tokens(token_ids(items, "prompt")?)]);
    }
    let prompt = |(index, item): (usize, &Value)| match item {
        Value::String(text) => Ok(Prompt::Text(text.clone())),
        Value::Array(ids) => Ok(Prompt::Tokens(token_ids(ids, &format!("prompt[{index}]"))?)),
        other => Err(wrong(&format!("prompt[{index}]"), other, "a string or an array of token ids")),
    };
    items.iter().enumerate().map(prompt).collect()
}

fn token_ids(items: &[Value], path: &str) -> Result<Vec<u32>, ServerError> {
    let id = |(index, item): (usize, &Value)| {
        let id = item.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| wrong(&format!("{path}[{index}]"), item, "a token id"))
    };
    items.iter().enumerate().map(id).collect()
}

fn prepare(engine: &Arc<dyn Engine>, prompts: Vec<Prompt>, echo: bool) -> Result<Prepared, ServerError> {
    let text = |prompt: &Prompt| match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Tokens(ids) => {
            let bytes: Vec<u8> = ids.iter().flat_map(|&id| engine.token_bytes(id)).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let echoes = echo.then(|| prompts.iter().map(text).collect());
    let encode = |prompt| match prompt {
        Prompt::Text(text) => engine.encode(&text),
        Prompt::Tokens(ids) => Ok(ids),
    };
    Ok(Prepared { ids: prompts.into_iter().map(encode).collect::<Result<_, _>>()?, echoes })
}

fn whole(shape: &mut Text, head: &Head, answers: Vec<Answer>) -> Response {
    let mut totals = Totals::default();
    let mut choices = Vec::with_capacity(answers.len());
    for (index, answer) in answers.into_iter().enumerate() {
        totals.add(index, shape.n, &answer.end);
        let mut choice = shape.piece(index, answer.text, &answer.tokens);
        if let Some(prompt) = shape.echo(index) {
            choice.text.insert_str(0, prompt);
        }
        choice.finish_reason = Some(finish_reason(answer.end.reason));
        choices.push(choice);
    }
    let body = Body { head, choices, usage: Some(Some(totals.usage())), timings: Some(totals.timings()) };
    Json(body).into_response()
}

struct Text {
    engine: Arc<dyn Engine>,
    logprobs: bool,
    n: usize,
    /// Text of each prompt, to stand before its answers.
    echoes: Option<Vec<String>>,
    /// Characters of each choice that are out.
    offsets: Vec<usize>,
}

impl Text {
    fn echo(&self, index: usize) -> Option<&str> {
        self.echoes.as_ref()?.get(index / self.n).map(String::as_str)
    }
}

impl Shape for Text {
    type Choice = TextChoice;

    fn opening(&mut self, index: usize) -> Option<TextChoice> {
        let text = self.echo(index)?.to_owned();
        Some(TextChoice { text, index, logprobs: None, finish_reason: None })
    }

    fn piece(&mut self, index: usize, text: String, tokens: &[Token]) -> TextChoice {
        let logprobs = self.logprobs.then(|| TextLogprobs::new(&self.engine, tokens, &mut self.offsets[index]));
        TextChoice { text, index, logprobs, finish_reason: None }
    }

    fn ending(&mut self, index: usize, reason: FinishReason) -> TextChoice {
        TextChoice { text: String::new(), index, logprobs: None, finish_reason: Some(finish_reason(reason)) }
    }
}
