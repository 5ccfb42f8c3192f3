//! Every refusal of the server, and the one table that gives it a status. How it is written out is each protocol's business.

use axum::http::StatusCode;
use turbo_runtime::RuntimeError;
use turbo_text::ChatError;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The body is not JSON.
    #[error("the request body is not valid JSON: {0}")]
    BadJson(String),
    /// A field holds something else than it should.
    #[error("{field} is {found}, expected {expected}")]
    Field {
        /// Path of the field, as `messages[2].role`.
        field: String,
        /// What it holds.
        found: String,
        /// What it may hold.
        expected: String,
    },
    /// A field that must be there is not.
    #[error("{field} is missing, expected {expected}")]
    Missing {
        /// Path of the field.
        field: String,
        /// What it may hold.
        expected: String,
    },
    /// A request for something that this server does not do.
    #[error("{field} is not supported: {hint}")]
    Unsupported {
        /// Path of the field, with its value where that matters.
        field: String,
        /// What to do instead.
        hint: String,
    },
    /// A model that is not here.
    #[error("model {asked:?} is not here; this server has {available:?}")]
    UnknownModel {
        /// The name asked for.
        asked: String,
        /// The name of the model that is here.
        available: String,
    },
    /// A path that leads nowhere.
    #[error("there is no {path} here; see GET /v1/models for what is served")]
    NoRoute {
        /// The path.
        path: String,
    },
    /// A path that exists, with another method.
    #[error("{path} does not take {method}; the Allow header names what it takes")]
    Method {
        /// The method used.
        method: String,
        /// The path.
        path: String,
    },
    /// A body over the limit.
    #[error("the request body is larger than {limit} bytes; send less text")]
    BodyTooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// A body that is not declared to be JSON.
    #[error("the content type is {found}, expected application/json: send the header Content-Type: application/json")]
    MediaType {
        /// What was declared.
        found: String,
    },
    /// A body that did not come in time.
    #[error("the request body did not arrive within {seconds} seconds")]
    SlowBody {
        /// Time allowed.
        seconds: u64,
    },
    /// A connection that broke while the body was read.
    #[error("the request body could not be read: {0}")]
    BrokenBody(String),
    /// The chat template refused the conversation or failed.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The engine refused the request.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// The engine failed during a generation.
    #[error("the generation failed: {0}")]
    Failed(String),
    /// The server is on its way out.
    #[error("the server is shutting down; send the request to another one, or again later")]
    ShuttingDown,
}

/// How an error is classified, in the terms all protocols share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// OpenAI's `type`.
    pub(crate) kind: &'static str,
    /// OpenAI's `code`: a stable word for programs.
    pub(crate) code: Option<&'static str>,
}

impl ServerError {
    /// The table.
    pub(crate) fn class(&self) -> Class {
        const INVALID: &str = "invalid_request_error";
        const UNAVAILABLE: &str = "unavailable_error";
        let (status, kind, code) = match self {
            Self::BadJson(_) => (StatusCode::BAD_REQUEST, INVALID, Some("invalid_json")),
            Self::Field { .. } => (StatusCode::BAD_REQUEST, INVALID, Some("invalid_value")),
            Self::Missing { .. } => (StatusCode::BAD_REQUEST, INVALID, Some("missing_required_parameter")),
            Self::Unsupported { .. } => (StatusCode::BAD_REQUEST, INVALID, Some("unsupported_parameter")),
            Self::UnknownModel { .. } => (StatusCode::NOT_FOUND, INVALID, Some("model_not_found")),
            Self::NoRoute { .. } => (StatusCode::NOT_FOUND, INVALID, Some("unknown_url")),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, INVALID, Some("method_not_allowed")),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, INVALID, Some("request_too_large")),
            Self::MediaType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID, Some("unsupported_media_type")),
            Self::SlowBody { .. } => (StatusCode::REQUEST_TIMEOUT, INVALID, Some("request_timeout")),
            Self::BrokenBody(_) => (StatusCode::BAD_REQUEST, INVALID, None),
            Self::Chat(_) => (StatusCode::BAD_REQUEST, INVALID, Some("chat_template_error")),
            Self::Engine(error) => return engine_class(error),
            Self::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error", None),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, Some("shutting_down")),
        };
        Class { status, kind, code }
    }

    /// The request field that the error is about.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::Field { field, .. } | Self::Missing { field, .. } | Self::Unsupported { field, .. } => Some(field),
            Self::UnknownModel { .. } => Some("model"),
            Self::Chat(_) => Some("messages"),
            Self::Engine(RuntimeError::Parameter { name, .. }) => Some(name),
            _ => None,
        }
    }

    /// Tokens of the prompt and of the context, where the one does not fit the other.
    pub(crate) fn context_counts(&self) -> Option<(usize, usize)> {
        match self {
            Self::Engine(RuntimeError::PromptTooLong { prompt, context }) => Some((*prompt, *context)),
            _ => None,
        }
    }
}

fn engine_class(error: &RuntimeError) -> Class {
    let invalid = |code| Class { status: StatusCode::BAD_REQUEST, kind: "invalid_request_error", code: Some(code) };
    match error {
        RuntimeError::EmptyPrompt => invalid("empty_prompt"),
        RuntimeError::PromptTooLong { .. } => invalid("context_length_exceeded"),
        RuntimeError::UnknownToken { .. } | RuntimeError::Parameter { .. } => invalid("invalid_value"),
        RuntimeError::Chat(_) => invalid("chat_template_error"),
        RuntimeError::Stopped(_) => {
            Class { status: StatusCode::SERVICE_UNAVAILABLE, kind: "unavailable_error", code: Some("engine_stopped") }
        }
        _ => Class { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "server_error", code: None },
    }
}
