//! [`GpuBackend`]: loads plans for a GPU.

use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_backend::{Backend, BackendError, DeviceInfo, Engine, KvPoolSpec, MemoryNeeds, available_bytes};
use turbo_gguf::{GgmlType, GgufFile};

use super::{GpuEngine, needs};
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

    /// The GPU.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }
}

/// What a GPU is, for people.
pub(super) fn device_info(gpu: &Gpu) -> DeviceInfo {
    let free = gpu.memory().and_then(|memory| memory.free);
    // What has no memory of its own takes the system's.
    let shared = matches!(gpu.description().kind, "software" | "integrated GPU").then(available_bytes).flatten();
    let memory_bytes = free.into_iter().chain(shared).min();
    DeviceInfo { name: gpu.name().to_owned(), description: gpu.description().to_string(), memory_bytes }
}

impl Backend for GpuBackend {
    fn info(&self) -> DeviceInfo {
        device_info(&self.gpu)
    }

    fn supports_weight(&self, ty: GgmlType) -> bool {
        Layout::of(ty).is_some()
    }

    fn memory_needs(&self, plan: &Plan, file: &GgufFile, kv: &KvPoolSpec) -> Result<Option<MemoryNeeds>, BackendError> {
        needs::memory_needs(&self.gpu, plan, file, kv).map(Some)
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
