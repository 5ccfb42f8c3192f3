//! Kernels of the KV cache, as calls.

pub mod rotate;
