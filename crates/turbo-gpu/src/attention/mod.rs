//! Attention over the KV cache, as calls.

pub mod decode;
pub mod key_bias;
