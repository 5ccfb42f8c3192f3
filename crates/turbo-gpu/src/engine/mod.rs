//! [`GpuEngine`]: runs a plan on a GPU, one submission for a batch.

mod backend;
mod batch;
mod faults;
mod fuse;
mod key_biases;
mod pools;
mod steps;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_backend::{BackendError, BatchItem, DeviceInfo, Engine, KvPoolSpec, PoolId};
use turbo_gguf::GgufFile;

use crate::buffer::{Buffer, ReadBack};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::matmul::{Codes, FewTokens, Halves, has_half_tiles};
use crate::weights::Matrix;
pub use backend::GpuBackend;
use batch::{Batch, DeviceBatch};
use faults::Faults;
use fuse::{Op, fuse};
use key_biases::KeyBiases;
use pools::{Pool, Scratches};
use weights::Weights;

/// Most tokens in a batch: beyond this the weight products gain nothing.
const MAX_BATCH: usize = 512;

/// A plan with its weights and working memory on a GPU.
pub struct GpuEngine {
    gpu: Arc<Gpu>,
    plan: Arc<Plan>,
    weights: Weights,
    pools: BTreeMap<PoolId, Pool>,
    next_pool: u32,
    max_batch: usize,
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
    key_biases: KeyBiases,
    faults: Faults,
    logits: Option<ReadBack<f32>>,
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
        let widest = plan.values.iter().map(|v| v.width).max().unwrap_or(1).max(1);
        let fits = usize::try_from(gpu.capabilities().max_binding_bytes / 4).unwrap_or(usize::MAX) / widest;
        let max_batch = fits.clamp(1, MAX_BATCH);
        let weights = Weights::load(&gpu, &plan, file, progress)?;
        let key_biases = KeyBiases::new(&gpu, &plan, file)?;
        let fail = |error| backend_error(&gpu, error);
        let value = |v: &turbo_backend::plan::Value| gpu.buffer(&v.name, max_batch * v.width);
        let values = plan.values.iter().map(value).collect::<Result<Vec<_>, _>>().map_err(fail)?;
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
            values,
            selected,
            codes,
            halves,
            few: FewTokens::of(&gpu),
            batch,
            scratches: Scratches::default(),
            key_biases,
            faults,
            logits: None,
            gpu,
        })
    }

    /// Records, runs and waits for all steps on `batch`.
    fn run(&mut self, batch: &Batch, logits: &mut Vec<f32>) -> Result<(), BackendError> {
        let gpu = Arc::clone(&self.gpu);
        let fail = |error| backend_error(&gpu, error);
        self.batch.upload(&gpu, &self.plan, batch).map_err(fail)?;
        let end = batch.positions.iter().max().map_or(0, |&position| position as usize + 1);
        self.key_biases.reach(&gpu, end).map_err(fail)?;
        for slot in 0..self.plan.kv.len() {
            let biased = self.key_biases.any();
            self.scratches.reserve(&gpu, &self.plan, &self.pools, batch, slot, biased).map_err(fail)?;
        }
        let n = batch.wanted.len() * self.plan.n_vocab;
        if self.logits.as_ref().is_none_or(|to| to.len() < n) {
            self.logits = Some(gpu.read_back("logits", n).map_err(fail)?);
        }
        let mut recorder = gpu.recorder("forward");
        self.record(&mut recorder, batch).map_err(fail)?;
        self.faults.copy_out(&mut recorder).map_err(fail)?;
        if let Some(to) = self.logits.as_ref().filter(|_| n > 0) {
            recorder.copy_out(&self.values[self.plan.logits.0 as usize], 0..n, to).map_err(fail)?;
        }
        recorder.submit().map_err(fail)?;
        self.faults.check(&gpu, &self.plan, batch)?;
        if let Some(from) = self.logits.as_ref().filter(|_| n > 0) {
            let rows = gpu.read(from).map_err(fail)?;
            logits.extend_from_slice(&rows[..n]);
        }
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
        self.max_batch
    }

    fn create_pool(&mut self, spec: &KvPoolSpec) -> Result<PoolId, BackendError> {
        let pool = Pool::new(&self.gpu, spec).map_err(|error| backend_error(&self.gpu, error))?;
        let id = PoolId(self.next_pool);
        self.next_pool += 1;
        self.pools.insert(id, pool);
        Ok(id)
    }

    fn free_pool(&mut self, pool: PoolId) {
        self.pools.remove(&pool);
    }

    fn forward(&mut self, items: &[BatchItem<'_>], logits: &mut Vec<f32>) -> Result<(), BackendError> {
        logits.clear();
        let batch = Batch::new(items, self.max_batch, |id, blocks| match self.pools.get(&id) {
            None => Err(BackendError::InvalidBatch(format!("there is no pool {}", id.0))),
            Some(pool) => pool.check(blocks),
        })?;
        if batch.tokens.is_empty() { Ok(()) } else { self.run(&batch, logits) }
    }
}

/// A device's error in the words of backends.
fn backend_error(gpu: &Gpu, error: GpuError) -> BackendError {
    match error {
        GpuError::OutOfMemory { what, bytes, reason, .. } => BackendError::OutOfMemory {
            what: format!("{what} on {}", gpu.name()),
            needed: bytes >> 20,
            available: 0,
            hint: format!("{reason}; use a smaller context (-c) or a smaller KV type (--ctk, --ctv)"),
        },
        other => BackendError::Device { device: gpu.name().to_owned(), reason: other.to_string() },
    }
}
