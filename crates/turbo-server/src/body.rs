//! Reads a request body as JSON.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde_json::Value;

use crate::error::ServerError;
use crate::state::MAX_BODY_BYTES;

/// Time a client has to send its body.
const BODY_TIME: Duration = Duration::from_secs(60);

/// The JSON of a body that is declared as JSON.
///
/// The declaration is required because it keeps web pages out: a browser asks first (CORS) before it sends that type elsewhere.
pub(crate) async fn read_json(request: Request) -> Result<Value, ServerError> {
    check_content_type(&request)?;
    let bytes = read_bytes(request).await?;
    serde_json::from_slice(&bytes).map_err(|error| ServerError::BadJson(error.to_string()))
}

fn check_content_type(request: &Request) -> Result<(), ServerError> {
    let Some(declared) = request.headers().get(header::CONTENT_TYPE) else {
        return Err(ServerError::MediaType { found: String::from("missing") });
    };
    let declared = String::from_utf8_lossy(declared.as_bytes());
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let shown: String = essence.chars().take(80).collect();
    Err(ServerError::MediaType { found: format!("{shown:?}") })
}

async fn read_bytes(request: Request) -> Result<Bytes, ServerError> {
    let too_large = ServerError::BodyTooLarge { limit: MAX_BODY_BYTES };
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(too_large);
    }
    match tokio::time::timeout(BODY_TIME, Bytes::from_request(request, &())).await {
        Err(_) => Err(ServerError::SlowBody { seconds: BODY_TIME.as_secs() }),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large),
        Ok(Err(rejection)) => Err(ServerError::BrokenBody(rejection.body_text())),
        Ok(Ok(bytes)) => Ok(bytes),
    }
}
