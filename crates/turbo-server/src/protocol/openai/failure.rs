//! Errors as OpenAI writes them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error::ServerError;

/// A [`ServerError`] on its way out in this protocol.
#[derive(Debug)]
pub(crate) struct Failure(ServerError);

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self(error)
    }
}

impl Failure {
    /// `{"error": {"message", "type", "param", "code"}}`, and llama-server's two counts where a prompt is too long.
    pub(crate) fn body(&self) -> Value {
        let class = self.0.class();
        let mut error = json!({
            "message": self.0.to_string(),
            "type": class.kind,
            "param": self.0.field(),
            "code": class.code,
        });
        if let Some((prompt, context)) = self.0.context_counts() {
            error["n_prompt_tokens"] = prompt.into();
            error["n_ctx"] = context.into();
        }
        json!({ "error": error })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.0.class().status;
        if status.is_server_error() {
            tracing::error!(error = %self.0, "request failed");
        }
        let mut response = (status, axum::Json(self.body())).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
