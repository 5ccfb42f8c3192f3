//! Kernels that measure a device, as calls.

pub mod stream;
