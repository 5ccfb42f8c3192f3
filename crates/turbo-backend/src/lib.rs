//! What a backend implements: plan steps, KV cache layouts, batches and the [`Backend`] trait.
//!
//! Data flows one way: turbo-model makes a [`plan::Plan`], the runtime makes batches of tokens, a backend runs the
//! plan's steps on them.

mod backend;
mod choice;
pub mod key_bias;
mod kv;
mod memory;
pub mod plan;
mod plan_flow;
mod plan_fmt;

pub use backend::{Backend, BackendError, BatchItem, Chooser, DeviceInfo, Engine, LogitsFor, PoolId, Results};
pub use choice::{Choice, ChoiceWords, MAX_TOP_K, WHOLE, chosen_at, place_of};
pub use kv::{BLOCK_TOKENS, CHUNK_TOKENS, KvLayer, KvPoolSpec, KvShape, KvSide, KvTypes, SideLayout, UnsupportedHead};
pub use memory::{MemoryNeeds, MemoryUse, available_bytes};
