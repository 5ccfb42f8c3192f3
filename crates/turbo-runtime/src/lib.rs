//! Sequences, scheduler, KV blocks, sampling: the public Rust API of the engine.
//!
//! [`Model`] is a file that was read, [`Context`] is a model on a device with its KV cache (one caller, any number
//! of sequences), [`Runtime`] a thread that runs a context for many callers.

mod context;
mod error;
mod fit;
mod model;
mod request;
mod runtime;
pub mod sampling;
mod scheduler;
mod status;
mod stop;

pub use context::{Context, ContextOptions, Sequence, SequenceInput};
pub use error::RuntimeError;
pub use fit::Footprint;
pub use model::Model;
pub use request::{
    Event, EventSink, FinishReason, GenerateRequest, RequestId, SamplingParams, Timings, TokenLogprobs, Usage,
};
pub use runtime::Runtime;
pub use stop::StopMatcher;
pub use turbo_backend::{
    Backend, Choice, DeviceInfo, KvPoolSpec, KvTypes, LogitsFor, MemoryUse, Results, available_bytes, chosen_at,
};
