//! Twins of the kernels of the KV cache.

pub mod cache;
pub mod kv_decode;
pub mod kv_decode_f16;
pub mod kv_encode;
pub mod kv_encode_f16;
pub mod kv_encode_roped;
pub mod rotate;

#[cfg(test)]
mod tests;
