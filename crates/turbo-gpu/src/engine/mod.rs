//! [`GpuEngine`]: runs a plan on a GPU, one submission for a batch.

mod backend;
mod batch;
mod faults;
mod fuse;
mod key_biases;
mod needs;
mod pools;
mod rehearsal;
mod steps;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use turbo_backend::plan::Plan;
use turbo_backend::{BackendError, BatchItem, CHUNK_TOKENS, DeviceInfo, Engine, KvPoolSpec, MemoryUse, PoolId};
use turbo_gguf::GgufFile;

use crate::buffer::{Buffer, ReadBack};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::matmul::{Codes, FewTokens, Halves, has_half_tiles};
use crate::tally::{Kind, counting};
use crate::weights::Matrix;
pub use backend::GpuBackend;
use batch::{Batch, DeviceBatch};
use faults::Faults;
use fuse::{Op, fuse};
use key_biases::KeyBiases;
use pools::{Pool, Scratches, Ways};
use weights::Weights;

/// Most tokens in a batch: beyond this the weight products gain nothing.
const MAX_BATCH: usize = 512;

/// Values of logits that there is room for in a batch, but rows for so many tokens at least.
const MOST_LOGITS: usize = 8 << 20;
const FEWEST_LOGITS: usize = 32;

/// Most memory that key biases are worked out in.
const MOST_BIAS_BYTES: usize = 1 << 30;

/// A plan with its weights and working memory on a GPU.
pub struct GpuEngine {
    gpu: Arc<Gpu>,
    plan: Arc<Plan>,
    weights: Weights,
    pools: BTreeMap<PoolId, Pool>,
    next_pool: u32,
    max_batch: usize,
    /// Most tokens of a batch that get logits.
    max_logits: usize,
    /// One buffer per value of the plan, for a batch of the largest size.
    values: Vec<Buffer<f32>>,
    /// Takes the rows that `SelectLogits` keeps.
    selected: Buffer<f32>,
    codes: Codes,
    /// On devices with cooperative matrices.
    halves: Option<Halves>,
    /// Most tokens that products take without tiles.
    few: FewTokens,
    /// Which products take their input in 16 bits.
    wide: Vec<bool>,
    ops: Vec<Op>,
    batch: DeviceBatch,
    scratches: Scratches,
    ways: Ways,
    key_biases: KeyBiases,
    faults: Faults,
    /// Takes faults and logits of a batch.
    results: Option<ReadBack<u32>>,
}

impl GpuEngine {
    /// Loads the weights of `file` and allocates working memory; `progress` is told bytes done and in all.
    ///
    /// # Errors
    /// A tensor that is missing or has a type without a kernel, too little memory, a failing device.
    pub fn new(
        gpu: Arc<Gpu>,
        plan: Arc<Plan>,
        file: &GgufFile,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, BackendError> {
        let mut engine = Self::allocate(gpu, plan, file)?;
        engine.compile_meanwhile(|engine| engine.weights.fill(&engine.gpu, &engine.plan, file, progress))?;
        Ok(engine)
    }

    /// Takes all memory that does not depend on the cache.
    fn allocate(gpu: Arc<Gpu>, plan: Arc<Plan>, file: &GgufFile) -> Result<Self, BackendError> {
        let widest = plan.values.iter().map(|v| v.width).max().unwrap_or(1).max(1);
        let fits = usize::try_from(gpu.capabilities().max_binding_bytes / 4).unwrap_or(usize::MAX) / widest;
        let max_batch = fits.clamp(1, MAX_BATCH);
        let weights = counting(Kind::Weights, || Weights::allocate(&gpu, &plan, file))?;
        let key_biases = KeyBiases::new(&gpu, &plan, file)?;
        let fail = |error| backend_error(&gpu, error);
        let max_logits = (MOST_LOGITS / plan.n_vocab.max(1)).clamp(FEWEST_LOGITS.min(max_batch), max_batch);
        let value = |(id, v): (usize, &turbo_backend::plan::Value)| {
            let rows = if id == plan.logits.0 as usize { max_logits } else { max_batch };
            gpu.buffer(&v.name, rows * v.width)
        };
        let values = plan.values.iter().enumerate().map(value).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let selected = gpu.buffer("selected rows", max_batch * plan.d_model).map_err(fail)?;
        let inputs = weights.widest(&plan, Matrix::is_quantised);
        let codes = Codes::new(&gpu, max_batch * inputs).map_err(fail)?;
        let coop = has_half_tiles(&gpu).then(|| Halves::new(&gpu, max_batch, weights.widest(&plan, |_| true)));
        let halves = coop.transpose().map_err(fail)?;
        let batch = DeviceBatch::new(&gpu, &plan, max_batch).map_err(fail)?;
        let faults = Faults::new(&gpu, &plan, max_batch).map_err(fail)?;
        Ok(Self {
            wide: plan.wide_inputs(),
            ops: fuse(&plan, |id| weights.is_quantised(id)),
            plan,
            weights,
            pools: BTreeMap::new(),
            next_pool: 0,
            max_batch,
            max_logits,
            values,
            selected,
            codes,
            halves,
            few: FewTokens::of(&gpu),
            batch,
            scratches: Scratches::default(),
            ways: Ways::new(),
            key_biases,
            faults,
            results: None,
            gpu,
        })
    }

    /// Memory for a pool.
    fn new_pool(&mut self, spec: &KvPoolSpec) -> Result<PoolId, BackendError> {
        let pool =
            counting(Kind::Kv, || Pool::new(&self.gpu, spec)).map_err(|error| backend_error(&self.gpu, error))?;
        let id = PoolId(self.next_pool);
        self.next_pool += 1;
        self.pools.insert(id, pool);
        Ok(id)
    }

    /// Brings `batch` to the device and takes the memory that it needs.
    fn prepare(&mut self, batch: &Batch) -> Result<(), GpuError> {
        let gpu = Arc::clone(&self.gpu);
        self.batch.upload(&gpu, &self.plan, batch)?;
        let end = batch.positions.iter().max().map_or(0, |&position| position as usize + 1);
        self.key_biases.reach(&gpu, end)?;
        let biased = self.key_biases.any();
        self.ways = self.scratches.reserve(&gpu, &self.plan, &self.pools, batch, biased)?;
        Ok(())
    }

    /// Records, runs and waits for all steps on `batch`.
    fn run(&mut self, batch: &Batch, logits: &mut Vec<f32>) -> Result<(), BackendError> {
        let gpu = Arc::clone(&self.gpu);
        let fail = |error| backend_error(&gpu, error);
        self.prepare(batch).map_err(fail)?;
        let n = batch.wanted.len() * self.plan.n_vocab;
        let faults = self.faults.words(batch.tokens.len());
        if self.results.as_ref().is_none_or(|to| to.len() < faults + n) {
            self.results = Some(gpu.read_back("results", faults + n).map_err(fail)?);
        }
        let mut recorder = gpu.recorder("forward");
        let traced = tracing::enabled!(target: "turbo_gpu::timing", tracing::Level::TRACE);
        if traced {
            recorder = recorder.with_timing().map_err(fail)?;
        }
        let started = Instant::now();
        self.record(&mut recorder, batch).map_err(fail)?;
        let Some(results) = &self.results else { return Ok(()) };
        self.faults.copy_out(&mut recorder, batch.tokens.len(), results).map_err(fail)?;
        recorder.copy_words(&self.values[self.plan.logits.0 as usize], 0..n, results, faults).map_err(fail)?;
        if traced {
            trace(&recorder.submit_timed().map_err(fail)?);
        } else {
            recorder.submit().map_err(fail)?;
        }
        let submitted = started.elapsed();
        let words = gpu.read(results).map_err(fail)?;
        tracing::debug!(
            target: "turbo_gpu::timing",
            "{} tokens: recorded and submitted in {:.2} ms, done after {:.2} ms",
            batch.tokens.len(),
            submitted.as_secs_f64() * 1e3,
            started.elapsed().as_secs_f64() * 1e3
        );
        self.check_faults(batch, &words[..faults])?;
        logits.extend_from_slice(bytemuck::cast_slice(&words[faults..faults + n]));
        Ok(())
    }
}

impl Engine for GpuEngine {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn device(&self) -> DeviceInfo {
        backend::device_info(&self.gpu)
    }

    fn max_batch_tokens(&self) -> usize {
        if !self.key_biases.any() {
            return self.max_batch;
        }
        // A key bias takes a word for every query head and key.
        let chunks = self.pools.values().map(Pool::chunks).max().unwrap_or(0).next_power_of_two();
        let token = 4 * CHUNK_TOKENS * chunks.max(1) * self.plan.most_heads().max(1);
        let room =
            usize::try_from(self.gpu.capabilities().max_binding_bytes).unwrap_or(usize::MAX).min(MOST_BIAS_BYTES);
        (room / token).clamp(1, self.max_batch)
    }

    fn memory_use(&self) -> Option<MemoryUse> {
        Some(self.gpu.memory_use())
    }

    fn create_pool(&mut self, spec: &KvPoolSpec) -> Result<PoolId, BackendError> {
        let pool = self.new_pool(spec)?;
        let compiled = self.compile_for(pool);
        compiled.inspect_err(|_| self.free_pool(pool)).map(|()| pool)
    }

    fn free_pool(&mut self, pool: PoolId) {
        self.pools.remove(&pool);
    }

    fn forward(&mut self, items: &[BatchItem<'_>], logits: &mut Vec<f32>) -> Result<(), BackendError> {
        logits.clear();
        let batch = Batch::new(items, (self.max_batch, self.max_logits), |id, blocks| match self.pools.get(&id) {
            None => Err(BackendError::InvalidBatch(format!("there is no pool {}", id.0))),
            Some(pool) => pool.check(blocks),
        })?;
        if batch.tokens.is_empty() { Ok(()) } else { self.run(&batch, logits) }
    }
}

/// Says where the time of a batch went: `RUST_LOG=turbo_gpu::timing=trace`. Every dispatch waits for the one before, so
/// that the sum is more than the batch takes otherwise.
fn trace(times: &[(&'static str, f64)]) {
    let mut by_label: BTreeMap<&str, (u32, f64)> = BTreeMap::new();
    for &(label, ns) in times {
        let entry = by_label.entry(label).or_default();
        entry.0 += 1;
        entry.1 += ns / 1e3;
    }
    for (label, (count, us)) in by_label {
        tracing::trace!(target: "turbo_gpu::timing", "{us:9.1} us, {count:4} of {label}");
    }
}

/// A device's error in the words of backends.
fn backend_error(gpu: &Gpu, error: GpuError) -> BackendError {
    match error {
        GpuError::OutOfMemory { what, bytes, reason, .. } => BackendError::OutOfMemory {
            what: format!("{what} on {}", gpu.name()),
            needed: bytes >> 20,
            available: gpu.memory().and_then(|memory| memory.free).map(|bytes| bytes >> 20),
            hint: format!("{reason}; use a smaller context (-c) or a smaller KV type (--ctk, --ctv)"),
        },
        GpuError::Lost { device, reason } => BackendError::DeviceLost { device, reason },
        other => BackendError::Device { device: gpu.name().to_owned(), reason: other.to_string() },
    }
}
