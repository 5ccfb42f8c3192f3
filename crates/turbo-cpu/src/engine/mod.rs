//! [`CpuEngine`]: runs a plan step by step over a batch.

mod backend;
mod batch;
mod biases;
mod forms;
mod steps;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;

use turbo_backend::plan::{Plan, ValueId};
use turbo_backend::{BackendError, BatchItem, DeviceInfo, Engine, KvPoolSpec, LogitsFor, PoolId};
use turbo_gguf::GgufFile;

use crate::matmul::{Activations, Forms};
use crate::ops::RopeAngles;
use crate::pool::ThreadPool;
pub use backend::CpuBackend;
use batch::Rows;
use biases::KeyBiases;
use weights::Weights;

/// f32 values that all activations of a batch together may take: 48 MiB.
const ACTIVATION_VALUES: usize = 12 << 20;

/// Most tokens in a batch: beyond this the weight products gain nothing.
const MAX_BATCH: usize = 512;

/// Most logits of a batch, so that all rows of a long text need not be in memory at once.
const LOGITS: usize = 16 << 20;

/// The memory of one pool of KV blocks.
struct KvPool {
    spec: KvPoolSpec,
    /// K side of every slot.
    k: Vec<Vec<u32>>,
    /// V side of every slot.
    v: Vec<Vec<u32>>,
}

/// A plan with its weights and working memory on the CPU.
pub struct CpuEngine {
    plan: Arc<Plan>,
    threads: Arc<ThreadPool>,
    weights: Weights,
    pools: BTreeMap<PoolId, KvPool>,
    next_pool: u32,
    max_batch: usize,
    /// One buffer per value of the plan, as long as the longest batch so far needed.
    values: Vec<Vec<f32>>,
    /// The value that `activations` was prepared from, while it is unchanged.
    prepared: Option<ValueId>,
    activations: Activations,
    /// The forms in which the product of every step takes its input.
    forms: Vec<Forms>,
    angles: Vec<RopeAngles>,
    key_biases: KeyBiases,
}

/// Values of a token's activations besides its logits.
fn width(plan: &Plan) -> usize {
    plan.values.iter().filter(|v| v.width != plan.n_vocab).map(|v| v.width).sum()
}

/// Most tokens in a batch.
fn max_batch(plan: &Plan) -> usize {
    (ACTIVATION_VALUES / width(plan).max(1)).clamp(16, MAX_BATCH)
}

impl CpuEngine {
    /// Gets `plan` ready to run with the weights of `file`.
    ///
    /// # Errors
    /// A tensor that is missing or has a type without a kernel, a key bias that holds inf or nan.
    pub fn new(plan: Arc<Plan>, file: Arc<GgufFile>, threads: Arc<ThreadPool>) -> Result<Self, BackendError> {
        let weights = Weights::new(&plan, file)?;
        Ok(Self {
            max_batch: max_batch(&plan),
            values: vec![Vec::new(); plan.values.len()],
            forms: forms::forms(&plan, |id| Ok(weights.matrix(id)?.ty))?,
            key_biases: KeyBiases::new(&plan, &weights)?,
            angles: plan.ropes.iter().map(|_| RopeAngles::default()).collect(),
            plan,
            threads,
            weights,
            pools: BTreeMap::new(),
            next_pool: 0,
            prepared: None,
            activations: Activations::default(),
        })
    }

    /// Checks a batch against the plan and the pools.
    fn check(&self, items: &[BatchItem<'_>]) -> Result<(), BackendError> {
        let invalid = |text: String| Err(BackendError::InvalidBatch(text));
        for item in items {
            let Some(pool) = self.pools.get(&item.pool) else {
                return invalid(format!("pool {} does not exist", item.pool.0));
            };
            let end = item.start + item.tokens.len();
            if item.tokens.is_empty() || item.blocks.len() * turbo_backend::BLOCK_TOKENS < end {
                return invalid(format!("{} blocks for positions up to {end}", item.blocks.len()));
            }
            if let Some(block) = item.blocks.iter().find(|&&b| b as usize >= pool.spec.n_blocks) {
                return invalid(format!("block {block} of a pool of {}", pool.spec.n_blocks));
            }
            if matches!(item.logits, LogitsFor::Choice(_)) {
                return invalid("the CPU leaves the choice of tokens to the caller".into());
            }
            if let Some(token) = item.tokens.iter().find(|&&t| t as usize >= self.plan.n_vocab) {
                return invalid(format!("token {token} of a vocabulary of {}", self.plan.n_vocab));
            }
        }
        let tokens: usize = items.iter().map(|item| item.tokens.len()).sum();
        if tokens > self.max_batch {
            return invalid(format!("{tokens} tokens, at most {} go into one batch", self.max_batch));
        }
        Ok(())
    }

    /// [`Engine::forward`] with a look inside, for tests that need a real model's activations: before every step
    /// `watch` is given its index in the plan and all values, [value of the plan][row of the batch * width]. A value
    /// holds leftovers until a step of this batch has written it.
    ///
    /// # Errors
    /// As [`Engine::forward`].
    pub fn forward_watched(
        &mut self,
        items: &[BatchItem<'_>],
        logits: &mut Vec<f32>,
        watch: &mut dyn FnMut(usize, &[Vec<f32>]),
    ) -> Result<(), BackendError> {
        logits.clear();
        self.check(items)?;
        let mut rows = Rows::new(items);
        for (angles, table) in self.angles.iter_mut().zip(&self.plan.ropes) {
            angles.prepare(table, &rows.positions);
        }
        self.key_biases.reach(items.iter().map(|item| item.start + item.tokens.len()).max().unwrap_or(0));
        self.prepared = None;
        let plan = Arc::clone(&self.plan);
        for (index, step) in plan.steps.iter().enumerate() {
            watch(index, &self.values);
            self.step(index, step, items, &mut rows)?;
            if rows.is_empty() {
                return Ok(());
            }
        }
        logits.extend_from_slice(&self.values[plan.logits.0 as usize][..rows.len() * plan.n_vocab]);
        Ok(())
    }
}

impl Engine for CpuEngine {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn device(&self) -> DeviceInfo {
        backend::device_info(&self.threads)
    }

    fn max_batch_tokens(&self) -> usize {
        self.max_batch
    }

    fn max_logits(&self) -> usize {
        (LOGITS / self.plan.n_vocab.max(1)).clamp(64, self.max_batch.max(64))
    }

    fn create_pool(&mut self, spec: &KvPoolSpec) -> Result<PoolId, BackendError> {
        let side = |words: usize| zeroed(words.checked_mul(spec.n_blocks)?);
        let sides =
            |words: &dyn Fn(usize) -> usize| (0..spec.layers.len()).map(|i| side(words(i))).collect::<Option<_>>();
        let k = sides(&|i| spec.layers[i].k.block_words());
        let v = sides(&|i| spec.layers[i].v.block_words());
        let (Some(k), Some(v)) = (k, v) else {
            return Err(BackendError::OutOfMemory {
                what: "the KV cache".into(),
                needed: spec.bytes() >> 20,
                available: turbo_backend::available_bytes().map(|bytes| bytes >> 20),
                hint: "use a smaller context (-c) or a smaller KV type (--ctk, --ctv)".into(),
            });
        };
        let id = PoolId(self.next_pool);
        self.next_pool += 1;
        self.pools.insert(id, KvPool { spec: spec.clone(), k, v });
        Ok(id)
    }

    fn free_pool(&mut self, pool: PoolId) {
        self.pools.remove(&pool);
    }

    fn forward(&mut self, items: &[BatchItem<'_>], logits: &mut Vec<f32>) -> Result<(), BackendError> {
        self.forward_watched(items, logits, &mut |_, _| ())
    }
}

/// Zeroed words that take no memory before they are written; `None` if the system refuses.
fn zeroed(words: usize) -> Option<Vec<u32>> {
    let layout = std::alloc::Layout::array::<u32>(words).ok()?;
    if words == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the layout is not empty; the block is handed to a Vec of the same layout, and zero bytes are valid u32.
    unsafe {
        let start = std::alloc::alloc_zeroed(layout).cast::<u32>();
        (!start.is_null()).then(|| Vec::from_raw_parts(start, words, words))
    }
}
