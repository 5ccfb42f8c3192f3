//! The routes of all protocols under one roof.

use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::error::ServerError;
use crate::protocol::openai;
use crate::state::{AppState, MAX_BODY_BYTES, Phase};

/// The whole server as an axum router.
///
/// CORS stays closed: no answer carries `Access-Control-Allow-Origin`, so web pages of other origins cannot use the server.
pub fn router(state: AppState) -> Router {
    Router::new()
        .merge(openai::routes())
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(log))
        .with_state(state)
}

/// 200 while requests are taken; 503 while the server drains or after the engine has stopped. Body as llama-server's.
async fn health(State(state): State<AppState>) -> Response {
    let trouble = match state.phase() {
        _ if state.engine_gone() => "the engine has stopped",
        Phase::Running => return axum::Json(json!({ "status": "ok" })).into_response(),
        Phase::Draining | Phase::Closing => "the server is shutting down",
    };
    let body = json!({ "error": { "code": 503, "message": trouble, "type": "unavailable_error" } });
    (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response()
}

async fn no_route(request: Request) -> openai::Failure {
    ServerError::NoRoute { path: request.uri().path().chars().take(200).collect() }.into()
}

async fn wrong_method(request: Request) -> openai::Failure {
    let path = request.uri().path().chars().take(200).collect();
    ServerError::Method { method: request.method().to_string(), path }.into()
}

async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let start = Instant::now();
    let response = next.run(request).await;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    tracing::info!(%method, path, status = response.status().as_u16(), ms, "request");
    response
}
