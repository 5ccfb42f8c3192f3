//! Kernels of the KV cache.

mod cache;
pub(crate) mod kv_decode;
pub(crate) mod kv_decode_f16;
pub(crate) mod kv_encode;
pub(crate) mod kv_encode_f16;
pub(crate) mod kv_encode_roped;
pub(crate) mod rotate;
