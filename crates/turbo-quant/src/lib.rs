//! Block formats: bytes to values and back, for ggml weight types and the KV cache types.

mod kv_type;

pub use kv_type::{KvType, UnknownKvType, rotation_groups};
