//! The OpenAI protocol: `/v1/chat/completions`, `/v1/completions`, `/v1/models`, each also without `/v1`, as llama-server has them.
//!
//! Where OpenAI has no defaults of its own for a local model, llama-server's apply: temperature 0.8, top_k 40, top_p 0.95,
//! min_p 0.05, no penalties, and no limit on the answer but the context. Beyond OpenAI's parameters: `top_k`, `min_p`,
//! `repeat_penalty` (or `repetition_penalty`), `repeat_last_n`, `ignore_eos`, `chat_template_kwargs`; beyond its answers:
//! `timings` as llama-server writes them, and a header `x-turbo-ignored` with the request fields that had no effect.

mod chat;
mod completions;
mod failure;
mod logprobs;
mod messages;
mod models;
mod params;
mod stream;
mod types;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header::HeaderName};
use axum::response::Response;
use axum::routing::{get, post};

use crate::engine::Engine;
use crate::error::ServerError;
use crate::state::AppState;

pub(crate) use failure::Failure;

/// Names the request fields that had no effect.
const IGNORED: HeaderName = HeaderName::from_static("x-turbo-ignored");

/// The routes of this protocol.
pub(crate) fn routes() -> Router<AppState> {
    let mut router = Router::new();
    for prefix in ["", "/v1"] {
        router = router
            .route(&format!("{prefix}/chat/completions"), post(chat::chat))
            .route(&format!("{prefix}/completions"), post(completions::completions))
            .route(&format!("{prefix}/models"), get(models::list))
            .route(&format!("{prefix}/models/{{*id}}"), get(models::one));
    }
    router
}

/// Refuses a model that is not the one that is loaded; no name (or an empty one) means that one.
fn check_model(engine: &Arc<dyn Engine>, asked: Option<&str>) -> Result<(), ServerError> {
    match asked {
        Some(asked) if !asked.is_empty() && asked != engine.model_name() => {
            let asked = asked.chars().take(200).collect();
            Err(ServerError::UnknownModel { asked, available: engine.model_name().to_owned() })
        }
        _ => Ok(()),
    }
}

/// Runs work that takes time in proportion to the prompt beside the threads that serve connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, ServerError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|error| Err(ServerError::Failed(format!("the prompt could not be prepared: {error}"))))
}

/// Adds the header that names ignored fields, if there are any.
fn with_ignored(mut response: Response, ignored: &[String]) -> Response {
    let plain = |name: &&String| {
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let names: Vec<&str> = ignored.iter().filter(plain).take(32).map(String::as_str).collect();
    if !names.is_empty()
        && let Ok(value) = HeaderValue::from_str(&names.join(", "))
    {
        response.headers_mut().insert(IGNORED, value);
    }
    response
}
