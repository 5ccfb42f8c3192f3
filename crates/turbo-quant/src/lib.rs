//! Block formats: bytes to values and back, for ggml weight types and the KV cache types.

pub mod ggml;
pub mod kv;
mod kv_type;
mod simd;
pub mod turbo;

pub use kv_type::{KvType, UnknownKvType, rotation_groups};
