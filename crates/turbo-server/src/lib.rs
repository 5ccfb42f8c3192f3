//! HTTP: the protocols clients already speak.
//!
//! A route is a translation: from a protocol's body into one internal request ([`engine`] and the `generation` module), and
//! from the engine's events back into that protocol's answer. A further protocol is a folder under `protocol/` and a line in
//! `app.rs`.
//!
//! | part | what it does |
//! | --- | --- |
//! | `engine` | what the server needs from an engine; implemented by [`turbo_runtime::Runtime`] |
//! | `generation` | runs the choices of one request, merges their events, cancels them when the client leaves |
//! | `error` | every refusal, its status and code: one table for all protocols |
//! | `fields` | reads request fields, naming the one that is wrong |
//! | `protocol/openai` | `/v1/chat/completions`, `/v1/completions`, `/v1/models` |
//! | `serve` | the listener, draining at shutdown |

mod app;
mod body;
pub mod engine;
mod error;
mod fields;
mod generation;
mod protocol;
mod serve;
mod state;

pub use app::router;
pub use engine::Engine;
pub use error::ServerError;
pub use serve::serve;
pub use state::{AppState, MAX_BODY_BYTES};
