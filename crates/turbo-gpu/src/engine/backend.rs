//! [`GpuBackend`]: loads plans for a GPU.

use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_backend::{Backend, BackendError, DeviceInfo, Engine};
use turbo_gguf::{GgmlType, GgufFile};

use super::GpuEngine;
use crate::adapters::Adapter;
use crate::error::GpuError;
use crate::gpu::{Gpu, GpuOptions};
use crate::weights::Layout;

/// An opened GPU that models can be loaded on.
#[derive(Clone, Debug)]
pub struct GpuBackend {
    gpu: Arc<Gpu>,
}

impl GpuBackend {
    /// Opens `adapter`.
    ///
    /// # Errors
    /// A device that lacks what every kernel needs; a driver that refuses.
    pub fn open(adapter: &Adapter, options: &GpuOptions) -> Result<Self, GpuError> {
        Ok(Self { gpu: Arc::new(Gpu::open(adapter, options)?) })
    }
}

/// What a GPU is, for people.
pub(super) fn device_info(gpu: &Gpu) -> DeviceInfo {
    DeviceInfo { name: gpu.name().to_owned(), description: gpu.description().to_string(), memory_bytes: None }
}

impl Backend for GpuBackend {
    fn info(&self) -> DeviceInfo {
        device_info(&self.gpu)
    }

    fn supports_weight(&self, ty: GgmlType) -> bool {
        Layout::of(ty).is_some()
    }

    fn load(
        &self,
        plan: Arc<Plan>,
        file: Arc<GgufFile>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Box<dyn Engine>, BackendError> {
        Ok(Box::new(GpuEngine::new(Arc::clone(&self.gpu), plan, &file, progress)?))
    }
}
