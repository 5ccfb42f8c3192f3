//! The traits a device implements: [`Backend`] loads a plan, [`Engine`] runs it.

use std::sync::Arc;

use turbo_gguf::{GgmlType, GgufError, GgufFile};

use crate::kv::KvPoolSpec;
use crate::memory::{MemoryNeeds, MemoryUse};
use crate::plan::Plan;

/// A pool of KV blocks made by [`Engine::create_pool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub u32);

/// Which tokens of a [`BatchItem`] get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitsFor {
    /// None: a part of a prompt that is not its end.
    None,
    /// The last token only.
    Last,
    /// Every token.
    All,
}

/// New tokens of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct BatchItem<'a> {
    /// The pool that holds the sequence's cache.
    pub pool: PoolId,
    /// Block table: block `i` holds positions `64 * i ..`. Must cover `start + tokens.len()` positions.
    pub blocks: &'a [u32],
    /// Position of the first new token; all earlier positions are in the cache.
    pub start: usize,
    /// The new tokens.
    pub tokens: &'a [u32],
    /// Which of them get logits.
    pub logits: LogitsFor,
}

impl BatchItem<'_> {
    /// Number of rows of logits this item asks for.
    pub fn n_logits(&self) -> usize {
        match self.logits {
            LogitsFor::None => 0,
            LogitsFor::Last => 1,
            LogitsFor::All => self.tokens.len(),
        }
    }
}

/// What a device is, as shown to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name users select it by (`cpu`, an adapter name).
    pub name: String,
    /// Kind and details for people: model, driver, threads, instruction sets.
    pub description: String,
    /// Memory that is free on the device, in bytes, if known.
    pub memory_bytes: Option<u64>,
}

/// A failure while loading or running a plan.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The file could not be read as needed.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A tensor has a type that this device has no kernel for.
    #[error("{device}: tensor {tensor} has type {found}, for which there is no kernel: supported are {supported}")]
    WeightType {
        /// The device asked.
        device: String,
        /// The tensor.
        tensor: String,
        /// Its type's name, or its number where even that is unknown.
        found: String,
        /// Names of the types that would do.
        supported: String,
    },
    /// A tensor holds inf or nan where the whole model would come to nothing.
    #[error(
        "{file}: tensor {tensor} holds {found} at value {index}, expected finite numbers: the file is damaged or was converted wrongly"
    )]
    WeightValue {
        /// The model file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Which value.
        index: usize,
        /// What it is.
        found: f32,
    },
    /// The cache or activations do not fit in memory.
    #[error("{what} needs {needed} MiB, {}: {hint}", available.map_or_else(|| "more than there is".to_owned(), |mib| format!("{mib} MiB are available")))]
    OutOfMemory {
        /// What was to be allocated.
        what: String,
        /// MiB it needs.
        needed: u64,
        /// MiB there are, if known.
        available: Option<u64>,
        /// What the user can do.
        hint: String,
    },
    /// K or V of a token cannot be stored without losing it.
    #[error("layer {layer}, position {position}: {side} {problem}; the token was not stored")]
    KvFault {
        /// Layer of the model.
        layer: usize,
        /// Position in the sequence.
        position: usize,
        /// `K`, `V` or `Q`.
        side: &'static str,
        /// What is wrong with the values.
        problem: String,
    },
    /// The batch does not describe a valid piece of work; a bug in the caller.
    #[error("invalid batch: {0}")]
    InvalidBatch(String),
    /// The device failed.
    #[error("{device} failed: {reason}")]
    Device {
        /// The device.
        device: String,
        /// What it said.
        reason: String,
    },
    /// The device is gone: every later call fails too.
    #[error("{device} was lost: {reason}; start the program again to use it again")]
    DeviceLost {
        /// The device.
        device: String,
        /// What the driver said.
        reason: String,
    },
}

impl BackendError {
    /// Whether no later call can succeed.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::DeviceLost { .. })
    }
}

/// A device that can load plans.
pub trait Backend: Send + Sync {
    /// What it is.
    fn info(&self) -> DeviceInfo;

    /// Types of weights it has kernels for.
    fn supports_weight(&self, ty: GgmlType) -> bool;

    /// What `plan` with the weights of `file` would take on the device besides a KV cache like `kv`, before anything is
    /// allocated. Not known by default.
    ///
    /// # Errors
    /// A weight that is missing or has no kernel.
    fn memory_needs(&self, plan: &Plan, file: &GgufFile, kv: &KvPoolSpec) -> Result<Option<MemoryNeeds>, BackendError> {
        let _ = (plan, file, kv);
        Ok(None)
    }

    /// Gets `plan` ready to run with the weights of `file`. `progress` is told bytes done and bytes in all.
    ///
    /// # Errors
    /// A weight without a kernel, too little memory, a failing device.
    fn load(
        &self,
        plan: Arc<Plan>,
        file: Arc<GgufFile>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Box<dyn Engine>, BackendError>;
}

/// A loaded plan on a device.
pub trait Engine: Send {
    /// The plan it runs.
    fn plan(&self) -> &Arc<Plan>;

    /// The device it runs on.
    fn device(&self) -> DeviceInfo;

    /// Largest number of tokens that one [`Engine::forward`] takes.
    fn max_batch_tokens(&self) -> usize;

    /// Allocates a pool of KV blocks.
    ///
    /// # Errors
    /// Too little memory.
    fn create_pool(&mut self, spec: &KvPoolSpec) -> Result<PoolId, BackendError>;

    /// Frees a pool; its id must not be used again.
    fn free_pool(&mut self, pool: PoolId);

    /// What it has taken on its device, if it counts that.
    fn memory_use(&self) -> Option<MemoryUse> {
        None
    }

    /// Runs all new tokens of `items`, storing their K and V. `logits` receives one row of `n_vocab` values per
    /// token that asked for one, in the order of items and tokens; it is cleared first.
    ///
    /// # Errors
    /// An invalid batch, a K/V fault (the sequence's new tokens must then be dropped), a failing device.
    fn forward(&mut self, items: &[BatchItem<'_>], logits: &mut Vec<f32>) -> Result<(), BackendError>;
}
