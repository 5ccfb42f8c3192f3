//! The CPU backend: threads, SIMD kernels, and the plain twin of every kernel.
