//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use turbo_runtime::FinishReason;
use turbo_text::RenderInput;

use super::logprobs::ChatLogprobs;
use super::params::Params;
use super::stream::{self, Shape};
use super::types::{Body, ChatChoice, ChatDelta, ChatMessage, Delta, Head, Totals, finish_reason};
use super::{Failure, blocking, check_model, messages, with_ignored};
use crate::body::read_json;
use crate::engine::Engine;
use crate::error::ServerError;
use crate::fields::Fields;
use crate::generation::{Answer, Job, Running, Token};
use crate::state::AppState;

/// Alternatives per token that may be asked for.
const MAX_TOP_LOGPROBS: i64 = 20;

/// What was asked for, apart from how to generate it.
struct Conversation {
    messages: Vec<Value>,
    add_generation_prompt: bool,
    template_variables: Map<String, Value>,
}

/// The route.
pub(super) async fn chat(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let body = read_json(request).await?;
    let engine = Arc::clone(state.engine());
    let (conversation, params, ignored) = read(&body, &engine)?;
    let worker = Arc::clone(&engine);
    let prompt = blocking(move || tokens(&worker, conversation)).await?;
    let job = Job { prompts: vec![prompt], n: params.n, request: params.request.clone() };
    let running = Running::start(&state, job)?;
    let response = if params.stream {
        let head = Head::new("chatcmpl", "chat.completion.chunk", engine.model_name());
        let shape = Chat { engine, logprobs: params.request.logprobs.is_some() };
        stream::respond(running, shape, head, &params, params.n)
    } else {
        let answers = running.collect().await?;
        whole(&engine, answers, &params)
    };
    Ok(with_ignored(response, &ignored))
}

fn read(body: &Value, engine: &Arc<dyn Engine>) -> Result<(Conversation, Params, Vec<String>), ServerError> {
    let fields = Fields::of_body(body)?;
    check_model(engine, fields.text("model")?)?;
    let mut params = Params::read(&fields, engine.context_tokens())?;
    params.request.logprobs = logprobs(&fields)?;
    refuse_tools(&fields)?;
    fields.get("user"); // names the end user for abuse reports: nothing to do here
    let conversation = Conversation {
        messages: messages::read(&fields)?,
        add_generation_prompt: match fields.get("add_generation_prompt") {
            Some(_) => fields.flag("add_generation_prompt")?,
            None => true,
        },
        template_variables: fields.object("chat_template_kwargs")?.cloned().unwrap_or_default(),
    };
    Ok((conversation, params, fields.unread()))
}

fn logprobs(fields: &Fields<'_>) -> Result<Option<usize>, ServerError> {
    let wanted = fields.flag("logprobs")?;
    let top = fields.integer("top_logprobs", 0..=MAX_TOP_LOGPROBS)?;
    match (wanted, top) {
        (true, top) => Ok(Some(top.unwrap_or(0) as usize)),
        (false, None | Some(0)) => Ok(None),
        (false, Some(top)) => Err(ServerError::Field {
            field: fields.path("top_logprobs"),
            found: format!("{top} without logprobs"),
            expected: String::from("it together with \"logprobs\": true"),
        }),
    }
}

/// Without a parser for the calls in an answer, a client that offers tools would get them as text.
fn refuse_tools(fields: &Fields<'_>) -> Result<(), ServerError> {
    for name in ["tools", "functions"] {
        if fields.array(name)?.is_some_and(|tools| !tools.is_empty()) {
            let hint = "leave it out; tool calls are not read from answers";
            return Err(ServerError::Unsupported { field: fields.path(name), hint: hint.into() });
        }
    }
    Ok(())
}

fn tokens(engine: &Arc<dyn Engine>, conversation: Conversation) -> Result<Vec<u32>, ServerError> {
    let prompt = engine.render(RenderInput {
        messages: conversation.messages,
        add_generation_prompt: conversation.add_generation_prompt,
        extra: conversation.template_variables,
        ..RenderInput::default()
    })?;
    Ok(engine.encode(&prompt)?)
}

fn whole(engine: &Arc<dyn Engine>, answers: Vec<Answer>, params: &Params) -> Response {
    let mut totals = Totals::default();
    let choice = |(index, answer): (usize, Answer)| {
        totals.add(index, params.n, &answer.end);
        ChatChoice {
            index,
            message: ChatMessage { role: "assistant", content: answer.text },
            logprobs: params.request.logprobs.map(|_| ChatLogprobs::new(engine, &answer.tokens)),
            finish_reason: finish_reason(answer.end.reason),
        }
    };
    let choices = answers.into_iter().enumerate().map(choice).collect();
    let head = Head::new("chatcmpl", "chat.completion", engine.model_name());
    let body = Body { head: &head, choices, usage: Some(Some(totals.usage())), timings: Some(totals.timings()) };
    Json(body).into_response()
}

struct Chat {
    engine: Arc<dyn Engine>,
    logprobs: bool,
}

impl Shape for Chat {
    type Choice = ChatDelta;

    fn opening(&mut self, index: usize) -> Option<ChatDelta> {
        let delta = Delta { role: Some("assistant"), content: Some(String::new()) };
        Some(ChatDelta { index, delta, logprobs: None, finish_reason: None })
    }

    fn piece(&mut self, index: usize, text: String, tokens: &[Token]) -> ChatDelta {
        let delta = Delta { role: None, content: Some(text) };
        let logprobs = self.logprobs.then(|| ChatLogprobs::new(&self.engine, tokens));
        ChatDelta { index, delta, logprobs, finish_reason: None }
    }

    fn ending(&mut self, index: usize, reason: FinishReason) -> ChatDelta {
        ChatDelta { index, delta: Delta::default(), logprobs: None, finish_reason: Some(finish_reason(reason)) }
    }
}
