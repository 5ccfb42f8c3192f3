//! Kernels of the KV cache, as calls.

pub mod cache;
mod fault;
pub mod kv_decode;
pub mod kv_encode;
pub mod kv_encode_roped;
pub mod rotate;

use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant};

use crate::error::GpuError;
use crate::gpu::Gpu;

/// What is known of the head sizes of a dispatch: some variants count on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadSizes {
    /// Nothing.
    Any,
    /// All are multiples of 128.
    Whole,
    /// All are 128.
    H128,
}

impl HeadSizes {
    /// What is known of `sizes`.
    pub(crate) fn of(sizes: impl Iterator<Item = usize> + Clone) -> Self {
        if sizes.clone().all(|d| d == 128) {
            Self::H128
        } else if sizes.clone().all(|d| d.is_multiple_of(128)) {
            Self::Whole
        } else {
            Self::Any
        }
    }

    /// Options of variants that such heads can have, the fastest first.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Any => &["lanes32", "lanes8", ""],
            Self::Whole => &["whole32", "lanes32", "lanes8", ""],
            Self::H128 => &["h128", "whole32", "lanes32", "lanes8", ""],
        }
    }
}

/// The variant for `kv_type` with the most lanes to a head that `gpu` can run.
fn pick(gpu: &Gpu, kernel: &'static Kernel, kv_type: KvType, sizes: HeadSizes) -> Result<&'static Variant, GpuError> {
    pick_named(gpu, kernel, if kv_type.is_coded() { kv_type.name() } else { "" }, sizes)
}

/// The variant called `first` and then by its lanes, with the most lanes to a head that `gpu` can run.
fn pick_named(gpu: &Gpu, kernel: &'static Kernel, first: &str, sizes: HeadSizes) -> Result<&'static Variant, GpuError> {
    let mut names = Vec::new();
    for option in sizes.options() {
        let parts = [first, option];
        let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",");
        if kernel.variant(&name).is_some() {
            names.push(name);
        }
    }
    gpu.pick(kernel, &names.iter().map(String::as_str).collect::<Vec<_>>())
}
