//! Kernels of the KV cache.

mod cache;
pub(crate) mod kv_decode;
pub(crate) mod kv_encode;
pub(crate) mod rotate;
