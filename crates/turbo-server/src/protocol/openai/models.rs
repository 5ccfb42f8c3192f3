//! `/v1/models`: the one model that is loaded.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{Failure, check_model};
use crate::state::AppState;

/// `GET /v1/models`.
pub(super) async fn list(State(state): State<AppState>) -> Json<Value> {
    Json(json!({ "object": "list", "data": [describe(&state)] }))
}

/// `GET /v1/models/{id}`; ids may contain slashes.
pub(super) async fn one(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Failure> {
    // An id that is no UTF-8 is the id of no model.
    let id = id.map_or_else(|_| String::from("\u{fffd}"), |Path(id)| id);
    check_model(state.engine(), Some(&id))?;
    Ok(Json(describe(&state)))
}

fn describe(state: &AppState) -> Value {
    json!({
        "id": state.engine().model_name(),
        "object": "model",
        "created": state.created(),
        "owned_by": "turbo-wgpu",
        "meta": { "n_ctx": state.engine().context_tokens() },
    })
}
