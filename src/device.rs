//! Choosing the device and setting up a model on it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use turbo_cpu::CpuBackend;
use turbo_gpu::{Adapter, Automatic, Gpu, GpuBackend, GpuOptions};
use turbo_runtime::{Backend, Context, ContextOptions, KvTypes, Model};

use crate::ui;

/// A device that models are loaded on.
pub(crate) struct Device {
    kind: Kind,
    /// Why it is this one, where none was named.
    reason: Option<String>,
    /// How long the last model took to load.
    loading: Cell<Duration>,
}

enum Kind {
    Cpu(CpuBackend),
    Gpu(GpuBackend),
}

/// The device that `--device` names: the CPU, or a GPU as [`turbo_gpu::find`] reads it; `auto` is the best GPU that is not
/// software, else the CPU.
pub(crate) fn choose(name: &str, threads: Option<u16>) -> Result<Device> {
    let cpu = || Kind::Cpu(CpuBackend::new(threads.map(usize::from)));
    let gpu = |adapter: &Adapter| -> Result<Kind> {
        let options = GpuOptions { cache_dir: turbo_gpu::default_cache_dir(), ..GpuOptions::default() };
        Ok(Kind::Gpu(GpuBackend::open(adapter, &options)?))
    };
    let (kind, reason) = if name.eq_ignore_ascii_case("cpu") {
        (cpu(), None)
    } else if name.eq_ignore_ascii_case("auto") {
        match turbo_gpu::automatic()? {
            Automatic::Gpu { adapter, reason } => (gpu(&adapter)?, Some(reason)),
            Automatic::Cpu { reason } => (cpu(), Some(reason)),
        }
    } else {
        (gpu(&turbo_gpu::find(name)?)?, None)
    };
    Ok(Device { kind, reason, loading: Cell::default() })
}

impl Device {
    /// What loads models.
    pub(crate) fn backend(&self) -> &dyn Backend {
        match &self.kind {
            Kind::Cpu(cpu) => cpu,
            Kind::Gpu(gpu) => gpu,
        }
    }

    /// The GPU, if it is one.
    pub(crate) fn gpu(&self) -> Option<&Gpu> {
        match &self.kind {
            Kind::Cpu(_) => None,
            Kind::Gpu(backend) => Some(backend.gpu()),
        }
    }

    /// The CPU, if it is that.
    pub(crate) fn cpu(&self) -> Option<&CpuBackend> {
        match &self.kind {
            Kind::Cpu(cpu) => Some(cpu),
            Kind::Gpu(_) => None,
        }
    }

    /// Seconds that the last model took to load.
    pub(crate) fn load_seconds(&self) -> f64 {
        self.loading.get().as_secs_f64()
    }

    /// Loads `model` with a cache of these types; `tokens` is the size of its context.
    pub(crate) fn load(&self, model: Arc<Model>, types: KvTypes, tokens: Option<usize>) -> Result<Context> {
        let bar = ui::bytes_progress("loading");
        let started = Instant::now();
        let context = Context::new(model, self.backend(), ContextOptions { types, tokens }, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
            // The rest is compiling and the cache.
            self.loading.set(started.elapsed());
        })?;
        bar.finish_and_clear();
        Ok(context)
    }

    /// Says on standard error what runs where and what it takes.
    pub(crate) fn announce(&self, context: &Context) {
        let model = context.model();
        eprintln!("model    {} ({}, {})", model.name, model.plan.architecture, ui::bytes(model.file.file_bytes()));
        let device = context.device();
        match &self.reason {
            Some(reason) => eprintln!("device   auto: {} ({}), {reason}", device.name, device.description),
            None => eprintln!("device   {} ({})", device.name, device.description),
        }
        let kv = context.kv();
        eprintln!(
            "context  {} tokens{}, KV cache {}/{} {}",
            context.tokens(),
            cut(context),
            context.types().k,
            context.types().v,
            ui::bytes(kv.bytes()),
        );
        for (slot, reason) in &kv.kept_f16 {
            eprintln!("         layer {slot} stays at f16: {reason}");
        }
        if let Some(memory) = context.memory_use() {
            let free = device.memory_bytes.map_or_else(String::new, |free| format!("; {} free", ui::bytes(free)));
            let [weights, kv, working] = [memory.weights, memory.kv, memory.working].map(ui::bytes);
            eprintln!("memory   weights {weights}, KV cache {kv}, working memory {working}{free}");
            let seconds = self.load_seconds();
            let rate = model.file.file_bytes() as f64 / seconds.max(1e-9) / 1e9;
            eprintln!("loading  weights loaded in {seconds:.2} s ({rate:.2} GB/s)");
        }
    }
}

/// What is said where memory decided the size of the context.
fn cut(context: &Context) -> String {
    if !context.is_cut() {
        return String::new();
    }
    let own = context.model().plan.context_length;
    format!(" (the largest that fits; the model has {own}, a smaller KV type or -c decides)")
}
