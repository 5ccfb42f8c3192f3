//! The CPU backend: threads, SIMD kernels, and the plain twin of every kernel.

pub mod attention;
pub mod bench;
mod engine;
pub mod kv;
pub mod matmul;
pub mod ops;
pub mod pool;
pub mod sampling;

pub use engine::{CpuBackend, CpuEngine};
