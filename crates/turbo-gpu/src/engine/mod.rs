//! [`GpuEngine`]: runs a plan on a GPU, one submission for a batch.

mod backend;
mod batch;
mod faults;
mod flight;
mod fuse;
mod heads;
mod key_biases;
mod needs;
mod pools;
mod products;
mod rehearsal;
mod steps;
mod weights;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_backend::{
    BackendError, BatchItem, CHUNK_TOKENS, Chooser, DeviceInfo, Engine, KvPoolSpec, MemoryUse, PoolId, Results,
};
use turbo_gguf::GgufFile;

use crate::buffer::{Buffer, ReadBack};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::matmul::{Codes, FewTokens, Halves, has_half_tiles};
use crate::sampling::Choices;
use crate::tally::{Kind, counting};
use crate::weights::Matrix;
pub use backend::GpuBackend;
use batch::{Batch, DeviceBatch};
use faults::Faults;
use flight::Flight;
use fuse::{Op, fuse};
use key_biases::KeyBiases;
use pools::{Pool, Scratches, Ways};
use weights::Weights;

/// Most tokens in a batch: beyond this the weight products gain nothing.
const MAX_BATCH: usize = 512;

/// Places for chosen tokens, of which every sequence that generates takes one.
const PLACES: usize = 64;

/// Values of logits that there is room for in a batch, but rows for as many tokens as there are places at least.
const MOST_LOGITS: usize = 8 << 20;

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
    /// Most rows of logits of a batch.
    max_rows: usize,
    /// One buffer per value of the plan, for a batch of the largest size.
    values: Vec<Buffer<f32>>,
    /// Takes the rows that `SelectLogits` keeps.
    selected: Buffer<f32>,
    codes: Codes,
    /// Codes of norms that lack their factor.
    normed_codes: Codes,
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
    choices: Choices,
    /// By place, the tokens that were chosen up to the last batch that was collected.
    last_chosen: Vec<u32>,
    /// Batches that are on their way, the oldest first.
    flights: VecDeque<Flight>,
    /// Memory for the results of more.
    free_results: Vec<ReadBack<u32>>,
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
        let max_rows = (MOST_LOGITS / plan.n_vocab.max(1)).clamp(PLACES, max_batch.max(PLACES));
        let rows = |id: usize| if id == plan.logits.0 as usize { max_rows } else { max_batch };
        let value = |(id, v): (usize, &turbo_backend::plan::Value)| gpu.buffer(&v.name, rows(id) * v.width);
        let values = plan.values.iter().enumerate().map(value).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let choices = Choices::new(&gpu, plan.n_vocab, PLACES, PLACES).map_err(fail)?;
        let selected = gpu.buffer("selected rows", max_batch * plan.d_model).map_err(fail)?;
        let inputs = weights.widest(&plan, Matrix::is_quantised);
        let codes = Codes::new(&gpu, max_batch * inputs).map_err(fail)?;
        let ops = fuse(&plan, &weights);
        let norms = ops.iter().filter_map(|op| op.normed_width(&plan)).max().unwrap_or(0);
        let normed_codes = Codes::new(&gpu, max_batch * norms).map_err(fail)?;
        let coop = has_half_tiles(&gpu).then(|| Halves::new(&gpu, max_batch, weights.widest(&plan, |_| true)));
        let halves = coop.transpose().map_err(fail)?;
        let batch = DeviceBatch::new(&gpu, &plan, max_batch).map_err(fail)?;
        let faults = Faults::new(&gpu, &plan, max_batch).map_err(fail)?;
        Ok(Self {
            wide: plan.wide_inputs(),
            ops,
            plan,
            weights,
            pools: BTreeMap::new(),
            next_pool: 0,
            max_batch,
            max_rows,
            values,
            selected,
            codes,
            normed_codes,
            halves,
            few: FewTokens::of(&gpu),
            batch,
            scratches: Scratches::default(),
            ways: Ways::new(),
            key_biases,
            faults,
            choices,
            last_chosen: vec![0; PLACES],
            flights: VecDeque::new(),
            free_results: Vec::new(),
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
        self.choices.write(&gpu, &batch.choices)?;
        let end = batch.positions.iter().max().map_or(0, |&position| position as usize + 1);
        self.key_biases.reach(&gpu, end)?;
        let biased = self.key_biases.any();
        self.ways = self.scratches.reserve(&gpu, (&self.plan, &self.ops), &self.pools, batch, biased)?;
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

    fn max_logits(&self) -> usize {
        self.max_rows
    }

    fn forward(&mut self, items: &[BatchItem<'_>], logits: &mut Vec<f32>) -> Result<(), BackendError> {
        let mut results = Results { logits: std::mem::take(logits), ..Results::default() };
        let run = self.run(items, &mut results);
        *logits = results.logits;
        run
    }

    fn chooser(&mut self) -> Option<&mut dyn Chooser> {
        Some(self)
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
