//! [`CpuBackend`]: loads plans for the CPU.

use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_backend::{Backend, BackendError, DeviceInfo, Engine, KvPoolSpec, MemoryNeeds, available_bytes};
use turbo_gguf::{GgmlType, GgufFile};

use crate::engine::CpuEngine;
use crate::matmul;
use crate::pool::ThreadPool;

/// Rows of logits that are held at a time where many sequences run.
const LOGITS_ROWS: usize = 32;

/// The CPU of this machine with a fixed number of threads.
#[derive(Clone)]
pub struct CpuBackend {
    threads: Arc<ThreadPool>,
}

impl CpuBackend {
    /// A backend with `threads` threads, or one per physical core if `None`.
    pub fn new(threads: Option<usize>) -> Self {
        let pool = threads.map_or_else(ThreadPool::with_default_threads, ThreadPool::new);
        Self { threads: Arc::new(pool) }
    }

    /// Number of threads that work.
    pub fn threads(&self) -> usize {
        self.threads.threads()
    }
}

/// What the CPU is, for people.
pub(super) fn device_info(threads: &ThreadPool) -> DeviceInfo {
    let n = threads.threads();
    DeviceInfo {
        name: "cpu".into(),
        description: format!(
            "{}, {n} thread{}, {}",
            cpu_model(),
            if n == 1 { "" } else { "s" },
            matmul::Level::best().name()
        ),
        memory_bytes: available_bytes(),
    }
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

impl Backend for CpuBackend {
    fn info(&self) -> DeviceInfo {
        device_info(&self.threads)
    }

    fn supports_weight(&self, ty: GgmlType) -> bool {
        matmul::supports(ty)
    }

    fn memory_needs(&self, plan: &Plan, file: &GgufFile, _: &KvPoolSpec) -> Result<Option<MemoryNeeds>, BackendError> {
        // Activations, their codes, and some rows of logits.
        let working = (4 * super::max_batch(plan) * super::width(plan) * 2 + 4 * LOGITS_ROWS * plan.n_vocab) as u64;
        Ok(Some(MemoryNeeds { weights: 0, mapped: file.file_bytes(), working }))
    }

    fn load(
        &self,
        plan: Arc<Plan>,
        file: Arc<GgufFile>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Box<dyn Engine>, BackendError> {
        let engine = CpuEngine::new(plan, file, Arc::clone(&self.threads))?;
        // Weights are used where they are mapped: nothing is left to do.
        progress(1, 1);
        Ok(Box::new(engine))
    }
}
