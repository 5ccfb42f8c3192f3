//! Kernels that measure a device.

pub(crate) mod stream;
