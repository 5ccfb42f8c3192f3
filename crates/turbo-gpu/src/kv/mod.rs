//! Kernels of the KV cache, as calls.

pub mod cache;
pub mod kv_decode;
pub mod kv_encode;
pub mod rotate;

use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant};

use crate::error::GpuError;
use crate::gpu::Gpu;

/// The variant for `kv_type` with the most lanes to a head that `gpu` can run.
fn pick(gpu: &Gpu, kernel: &'static Kernel, kv_type: KvType) -> Result<&'static Variant, GpuError> {
    let name = if kv_type.is_coded() { kv_type.name() } else { "" };
    let with = |lanes: &str| if name.is_empty() { lanes.to_owned() } else { format!("{name},{lanes}") };
    gpu.pick(kernel, &[&with("lanes32"), &with("lanes8"), name])
}
