//! An opened GPU.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pollster::block_on;
use turbo_backend::MemoryUse;
use turbo_wgsl::{Kernel, ParamsMode, Variant};
use wgpu::{ErrorFilter, PollType};

use crate::adapters::{Adapter, Description};
use crate::buffer::Dropped;
use crate::cache::BindGroups;
use crate::capabilities::{Capabilities, WANTED, check_minimum};
use crate::device_memory::DeviceMemory;
use crate::error::GpuError;
use crate::pipelines::{Pipeline, Pipelines};
use crate::recorder::Submission;
use crate::ring::Ring;
use crate::tally::{Kind, Tally};

/// Bytes of the memory blocks that small buffers share: the smallest that wgpu's allocator has. Larger buffers have memory
/// of their own, of their size; in larger blocks, those of more than half a block would leave the rest of it idle.
const BLOCKS: std::ops::Range<u64> = 4 << 20..4 << 20;

/// Time that submitted work may take on hardware: a driver that does not say so hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// Most threads that compile pipelines.
const MAX_COMPILERS: usize = 12;

/// How a GPU is opened.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Keep wgpu's checks of bounds, divisions and loops in the kernels; `TURBO_GPU_CHECKS=1` does the same.
    pub checked: bool,
    /// Pass params in a uniform buffer even where there are immediates.
    pub uniform_params: bool,
    /// Where compiled pipelines are kept between runs; nowhere without it.
    pub cache_dir: Option<PathBuf>,
}

/// What went wrong outside of a call that could say so.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    error: Option<String>,
    lost: Option<String>,
}

/// An opened GPU: device, queue, and everything that is made once and kept.
#[derive(Debug)]
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    description: Description,
    params: ParamsMode,
    fault: Arc<Mutex<Fault>>,
    pub(crate) dropped: Dropped,
    pub(crate) pipelines: Pipelines,
    pub(crate) groups: Mutex<BindGroups>,
    pub(crate) ring: Mutex<Ring>,
    pub(crate) tally: Arc<Tally>,
    /// Stands for buffers that are only measured.
    pub(crate) placeholder: wgpu::Buffer,
    adapter: Adapter,
}

/// Threads that compile beside the one that asks for it.
fn compilers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).min(MAX_COMPILERS)
}

/// Locks even if another thread panicked meanwhile: what is kept is consistent between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Gpu {
    /// Opens `adapter` with every feature of it that kernels use.
    ///
    /// # Errors
    /// A limit below what every kernel counts on; a driver that refuses.
    pub fn open(adapter: &Adapter, options: &GpuOptions) -> Result<Self, GpuError> {
        let description = adapter.description.clone();
        let (raw, name) = (&adapter.raw, description.name.clone());
        check_minimum(&name, &raw.limits())?;
        if let Some(reason) = &description.refused {
            return Err(GpuError::Open { device: name, reason: reason.clone() });
        }
        let mut features = raw.features() & WANTED;
        if description.capabilities.coop_matrix.is_empty() {
            features.remove(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
        }
        let experimental = if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            // SAFETY: the only experimental feature asked for is cooperative matrices, used by kernels of this
            // workspace alone, whose every use naga has validated at build time.
            unsafe { wgpu::ExperimentalFeatures::enabled() }
        } else {
            wgpu::ExperimentalFeatures::disabled()
        };
        let (device, queue) = block_on(raw.request_device(&wgpu::DeviceDescriptor {
            label: Some("turbo"),
            required_features: features,
            required_limits: raw.limits(),
            experimental_features: experimental,
            // Blocks that others share are small, so that little of them lies idle.
            memory_hints: wgpu::MemoryHints::Manual { suballocated_device_memory_block_size: BLOCKS },
            trace: wgpu::Trace::Off,
        }))
        .map_err(|e| GpuError::Open { device: name, reason: e.to_string() })?;
        let fault = watch(&device);
        let immediates = description.capabilities.immediate_bytes >= 128 && !options.uniform_params;
        let params = if immediates { ParamsMode::Immediate } else { ParamsMode::Uniform };
        let checked = options.checked || std::env::var_os("TURBO_GPU_CHECKS").is_some_and(|v| v == "1");
        let ring = Ring::new(&device, description.capabilities.uniform_alignment);
        let ring_layout = (params == ParamsMode::Uniform).then(|| ring.layout().clone());
        let pipelines = Pipelines::new(&device, &raw.get_info(), options.cache_dir.as_deref(), checked, ring_layout);
        let placeholder = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("placeholder"),
            size: 16,
            usage: crate::Buffer::<u32>::USAGES,
            mapped_at_creation: false,
        });
        Ok(Self {
            device,
            queue,
            description,
            params,
            fault,
            dropped: Dropped::default(),
            pipelines,
            groups: Mutex::default(),
            ring: Mutex::new(ring),
            tally: Arc::default(),
            placeholder,
            adapter: adapter.clone(),
        })
    }

    /// What it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// What it can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.description.capabilities
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// How params reach kernels here.
    pub fn params_mode(&self) -> ParamsMode {
        self.params
    }

    /// What has been taken of it, by kind.
    pub fn memory_use(&self) -> MemoryUse {
        MemoryUse {
            weights: self.tally.of(Kind::Weights),
            kv: self.tally.of(Kind::Kv),
            working: self.tally.of(Kind::Working),
            peak: self.tally.peak(),
            driver: self.memory().and_then(|memory| memory.used),
        }
    }

    /// Lets the peak of [`Gpu::memory_use`] begin again with what is taken now.
    pub fn restart_peak(&self) {
        self.tally.restart_peak();
    }

    /// The first of `names` among the variants of `kernel` that this device can run.
    ///
    /// # Errors
    /// It can run none of them: the message says why not, for each.
    pub fn pick(&self, kernel: &'static Kernel, names: &[&str]) -> Result<&'static Variant, GpuError> {
        let mut reasons = Vec::new();
        for name in names {
            match kernel.variant(name) {
                None => reasons.push(format!("there is no {}[{name}]", kernel.name)),
                Some(variant) => match self.capabilities().unmet(variant) {
                    None => return Ok(variant),
                    Some(unmet) => reasons.push(format!("{}: {unmet}", variant.label)),
                },
            }
        }
        let kernel = format!("{}/{}", kernel.family, kernel.name);
        Err(GpuError::Unsupported { device: self.name().to_owned(), kernel, unmet: reasons.join("; ") })
    }

    /// The pipeline of `variant`, compiled now if it was not yet.
    ///
    /// # Errors
    /// The device lacks something it needs; the driver cannot compile it.
    pub fn pipeline(&self, kernel: &'static Kernel, variant: &'static Variant) -> Result<Arc<Pipeline>, GpuError> {
        self.pipelines.get(self, kernel, variant)
    }

    /// Does `work` while other threads compile the pipelines of `variants`, the first ones first. What cannot be compiled
    /// is reported when it is asked for.
    pub fn compile_meanwhile<R>(
        &self,
        variants: &[(&'static Kernel, &'static Variant)],
        work: impl FnOnce() -> R,
    ) -> R {
        let next = AtomicUsize::new(0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..compilers().min(variants.len()) {
                scope.spawn(|| self.compile_some(variants, &next, &done));
            }
            let result = work();
            done.store(true, Ordering::Relaxed);
            result
        })
    }

    /// Compiles the pipelines of `variants` on several threads. What cannot be compiled is reported when it is asked for.
    pub fn compile_all(&self, variants: &[(&'static Kernel, &'static Variant)]) {
        let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..compilers().min(variants.len()) {
                scope.spawn(|| self.compile_some(variants, &next, &done));
            }
            self.compile_some(variants, &next, &done);
        });
    }

    fn compile_some(&self, variants: &[(&'static Kernel, &'static Variant)], next: &AtomicUsize, done: &AtomicBool) {
        while let Some((kernel, variant)) = variants.get(next.fetch_add(1, Ordering::Relaxed)) {
            if done.load(Ordering::Relaxed) {
                return;
            }
            let _ = self.pipeline(kernel, variant);
        }
    }

    /// Writes compiled pipelines to the cache directory, if there is one and the device supports it.
    pub fn save_pipelines(&self) {
        self.pipelines.save();
    }

    /// Gives the device up: from now on everything fails as on one that is lost. To see what callers make of that.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// The device failed or was lost; hardware that does not finish in ten minutes counts as lost.
    pub fn wait(&self) -> Result<(), GpuError> {
        self.wait_until(None)
    }

    /// Waits until `submission` and all before it is done.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub fn wait_for(&self, submission: &Submission) -> Result<(), GpuError> {
        self.wait_until(Some(submission.0.clone()))
    }

    fn wait_until(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<(), GpuError> {
        let timeout = (self.description.kind != "software").then_some(PATIENCE);
        let polled = self.device.poll(PollType::Wait { submission_index, timeout });
        if let Err(wgpu::PollError::Timeout) = polled {
            let reason = format!("work was not finished after {} seconds", PATIENCE.as_secs());
            lock(&self.fault).lost.get_or_insert(reason);
        }
        self.check()?;
        polled.map(drop).map_err(|e| self.failed(e.to_string()))
    }

    /// What the driver says about the device's memory now.
    pub fn memory(&self) -> Option<DeviceMemory> {
        DeviceMemory::of(&self.adapter.raw)
    }

    /// Reports what the device has signalled since the last check.
    ///
    /// # Errors
    /// The device failed or was lost.
    pub fn check(&self) -> Result<(), GpuError> {
        let mut fault = lock(&self.fault);
        if let Some(reason) = fault.lost.clone() {
            return Err(GpuError::Lost { device: self.name().to_owned(), reason });
        }
        fault.error.take().map_or(Ok(()), |reason| Err(self.failed(reason)))
    }

    pub(crate) fn failed(&self, reason: impl Into<String>) -> GpuError {
        GpuError::Failed { device: self.name().to_owned(), reason: reason.into() }
    }

    /// Runs `work` and returns what wgpu reported about it, if anything.
    pub(crate) fn scoped<R>(&self, work: impl FnOnce() -> R) -> (R, Option<wgpu::Error>) {
        let scopes = [ErrorFilter::Internal, ErrorFilter::OutOfMemory, ErrorFilter::Validation]
            .map(|filter| self.device.push_error_scope(filter));
        let result = work();
        // Popped innermost first; the first error found is the one.
        let mut error = None;
        for scope in scopes.into_iter().rev() {
            error = error.or(block_on(scope.pop()));
        }
        (result, error)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        self.save_pipelines();
    }
}

/// Collects errors that no scope catches, instead of wgpu's panic, and the loss of the device.
fn watch(device: &wgpu::Device) -> Arc<Mutex<Fault>> {
    let fault = Arc::new(Mutex::new(Fault::default()));
    let seen = fault.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        lock(&seen).error.get_or_insert_with(|| one_line(&error));
    }));
    let seen = fault.clone();
    device.set_device_lost_callback(move |_, message| {
        lock(&seen).lost.get_or_insert(message);
    });
    fault
}

/// A wgpu error as one line.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_gone_gives_errors_not_panics() {
        let Some(adapter) = turbo_testkit::gpus_found(crate::usable_adapters()).into_iter().next() else { return };
        let gpu = Gpu::open(&adapter, &GpuOptions::default()).unwrap();
        let buffer = gpu.upload("x", &[1_u32; 64]).unwrap();
        gpu.destroy();
        assert!(gpu.wait().is_err());
        assert!(gpu.buffer::<u32>("y", 64).is_err());
        assert!(gpu.pipeline(&turbo_wgsl::kv::rotate::KERNEL, turbo_wgsl::kv::rotate::N128).is_err());
        let message = gpu.download(&buffer, 0..64).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{} was lost: ", gpu.name())), "{message}");
        assert!(message.ends_with("; start the program again to use it again"), "{message}");
    }
}
