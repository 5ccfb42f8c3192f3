//! Twins of the kernels that measure a device.

pub mod stream;
