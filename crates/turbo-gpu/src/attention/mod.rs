//! Attention over the KV cache, as calls.

pub mod decode;
