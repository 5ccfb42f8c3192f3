//! An engine that says what a test tells it to, and helpers to ask the server.
#![allow(dead_code, unreachable_pub, reason = "each test file takes its own part of this module")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;
use turbo_runtime::{
    Event, EventSink, FinishReason, GenerateRequest, RequestId, RuntimeError, Timings, TokenLogprobs, Usage,
};
use turbo_server::{AppState, Engine, router};
use turbo_text::{ChatError, ChatTemplate, RenderInput};

/// What the fake engine does with a request.
#[derive(Clone)]
pub enum Script {
    /// Says these texts, one per token (the token's id is its place), then this held-back text with this reason.
    Say(Vec<&'static str>, &'static str, FinishReason),
    /// Says the text and then fails with the message.
    Fail(&'static str, &'static str),
    /// Goes silent without an end.
    Vanish,
    /// Says a word every few milliseconds until it is cancelled.
    Forever,
}

/// Tokens are bytes; the context holds 512 of them.
pub struct FakeEngine {
    pub script: Script,
    pub template: ChatTemplate,
    pub requests: Mutex<Vec<GenerateRequest>>,
    pub cancelled: Arc<Mutex<Vec<u64>>>,
    pub stopped: AtomicBool,
    /// Says by itself that it has stopped, before anybody asks it for something.
    pub lost: Mutex<Option<String>>,
    next_id: AtomicU64,
}

pub const CONTEXT: usize = 512;
pub const MODEL: &str = "org/fake-1b";

impl FakeEngine {
    pub fn new(script: Script) -> Arc<Self> {
        Self::with_template(script, ChatTemplate::chatml())
    }

    pub fn with_template(script: Script, template: ChatTemplate) -> Arc<Self> {
        Arc::new(Self {
            script,
            template,
            requests: Mutex::default(),
            cancelled: Arc::default(),
            stopped: AtomicBool::new(false),
            lost: Mutex::default(),
            next_id: AtomicU64::new(0),
        })
    }

    pub fn saying(texts: &[&'static str]) -> Arc<Self> {
        Self::new(Script::Say(texts.to_vec(), "", FinishReason::Stop))
    }

    pub fn last_request(&self) -> GenerateRequest {
        self.requests.lock().expect("lock").last().expect("a request reached the engine").clone()
    }

    pub fn last_prompt(&self) -> String {
        let bytes = self.last_request().prompt.iter().map(|&id| id as u8).collect();
        String::from_utf8(bytes).expect("prompt is text")
    }
}

impl Engine for FakeEngine {
    fn model_name(&self) -> &str {
        MODEL
    }

    fn context_tokens(&self) -> usize {
        CONTEXT
    }

    fn render(&self, input: RenderInput) -> Result<String, ChatError> {
        self.template.render(&input)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, RuntimeError> {
        Ok(text.bytes().map(u32::from).collect())
    }

    fn token_bytes(&self, id: u32) -> Vec<u8> {
        match id {
            1000 => vec![0xe2, 0x82],
            1001 => vec![0xac],
            id => u8::try_from(id).map(|byte| vec![byte]).unwrap_or_default(),
        }
    }

    fn generate(&self, request: GenerateRequest, mut sink: EventSink) -> Result<RequestId, RuntimeError> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(RuntimeError::Stopped("its thread has ended".into()));
        }
        if request.prompt.is_empty() {
            return Err(RuntimeError::EmptyPrompt);
        }
        if request.prompt.len() >= CONTEXT {
            return Err(RuntimeError::PromptTooLong { prompt: request.prompt.len(), context: CONTEXT });
        }
        if let Some(&id) = request.prompt.iter().find(|&&id| id > 1001) {
            return Err(RuntimeError::UnknownToken { id, n_vocab: 1002 });
        }
        request.sampling.check()?;
        let id = RequestId(self.next_id.fetch_add(1, Ordering::Relaxed));
        self.requests.lock().expect("lock").push(request.clone());
        let (script, cancelled) = (self.script.clone(), Arc::clone(&self.cancelled));
        std::thread::spawn(move || {
            let was_cancelled = || cancelled.lock().expect("lock").contains(&id.0);
            play(script, &request, &mut sink, &was_cancelled);
        });
        Ok(id)
    }

    fn cancel(&self, id: RequestId) {
        self.cancelled.lock().expect("lock").push(id.0);
    }

    fn stopped(&self) -> Option<String> {
        self.lost.lock().expect("lock").clone()
    }
}

fn play(script: Script, request: &GenerateRequest, sink: &mut EventSink, was_cancelled: &dyn Fn() -> bool) {
    let prompt_tokens = request.prompt.len();
    sink(Event::Started { prompt_tokens, cached_tokens: 2 });
    let logprobs = |index: usize| {
        request.logprobs.map(|top| TokenLogprobs {
            logprob: -0.5,
            top: (0..top as u32)
                .map(|place| (97 + place, -0.5 - place as f32))
                .chain((index == usize::MAX).then_some((0, 0.0)))
                .collect(),
        })
    };
    let token = |index: usize, text: &str| {
        let id = match text {
            "" => 1000,
            "€" => 1001,
            text => u32::from(text.as_bytes()[0]),
        };
        Event::Token { id, text: text.into(), logprobs: logprobs(index) }
    };
    match script {
        Script::Say(texts, rest, reason) => {
            let limit = request.max_tokens.unwrap_or(usize::MAX);
            let said = texts.len().min(limit);
            for (index, text) in texts.iter().take(said).enumerate() {
                if !sink(token(index, text)) {
                    return;
                }
            }
            let reason = if said < texts.len() { FinishReason::Length } else { reason };
            let usage = Usage { prompt_tokens, cached_tokens: 2, completion_tokens: said };
            let timings = Timings { prompt_ms: 10.0, predicted_ms: 20.0 };
            sink(Event::Finished { text: rest.into(), reason, usage, timings });
        }
        Script::Fail(text, message) => {
            if !text.is_empty() {
                sink(token(0, text));
            }
            sink(Event::Failed { message: message.into() });
        }
        Script::Vanish => {}
        Script::Forever => {
            while !was_cancelled() && sink(token(0, "word ")) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// An answer that was read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `data:` lines of a stream; the last must be `[DONE]`, which is taken off.
    pub fn chunks(&self) -> Vec<Value> {
        assert_eq!(self.headers[header::CONTENT_TYPE], "text/event-stream");
        let text = self.text();
        let mut lines: Vec<&str> =
            text.split("\n\n").filter(|line| !line.is_empty() && !line.starts_with(':')).collect();
        assert_eq!(lines.pop(), Some("data: [DONE]"), "{text}");
        let json = |line: &str| {
            serde_json::from_str(line.strip_prefix("data: ").expect("a data line")).expect("a chunk is JSON")
        };
        lines.into_iter().map(json).collect()
    }

    /// The fields of an OpenAI error: message, type, param, code.
    pub fn error(&self) -> (String, String, Value, Value) {
        let error = &self.json()["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("{error}")).to_owned();
        (text("message"), text("type"), error["param"].clone(), error["code"].clone())
    }
}

pub async fn send(engine: &Arc<FakeEngine>, request: Request<Body>) -> Answer {
    send_to(AppState::new(Arc::clone(engine) as Arc<dyn Engine>), request).await
}

pub async fn send_to(state: AppState, request: Request<Body>) -> Answer {
    let response = router(state).oneshot(request).await.expect("the router always answers");
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
    Answer { status: parts.status, headers: parts.headers, body }
}

pub async fn get(engine: &Arc<FakeEngine>, path: &str) -> Answer {
    send(engine, Request::get(path).body(Body::empty()).expect("a request")).await
}

pub async fn post(engine: &Arc<FakeEngine>, path: &str, body: Value) -> Answer {
    send(engine, post_request(path, body.to_string())).await
}

pub fn post_request(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header(header::CONTENT_TYPE, "application/json").body(body.into()).expect("a request")
}
