//! Kernels of the KV cache, as calls.

pub mod cache;
pub mod kv_decode;
pub mod kv_encode;
pub mod rotate;

use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant};

use crate::error::GpuError;
use crate::gpu::Gpu;

/// The variant for `kv_type` with the most lanes to a head that `gpu` can run; `whole` to prefer one for head sizes
/// that are multiples of 128.
fn pick(gpu: &Gpu, kernel: &'static Kernel, kv_type: KvType, whole: bool) -> Result<&'static Variant, GpuError> {
    let mut names = Vec::new();
    for lanes in ["whole32", "lanes32", "lanes8", ""].into_iter().filter(|&lanes| whole || lanes != "whole32") {
        let parts = [if kv_type.is_coded() { kv_type.name() } else { "" }, lanes];
        names.push(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(","));
    }
    gpu.pick(kernel, &names.iter().map(String::as_str).collect::<Vec<_>>())
}
