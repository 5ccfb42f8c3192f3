//! Attention over the KV cache, as calls.

pub mod decode;
pub mod job;
pub mod key_bias;
pub mod prefill;
pub mod queries;
