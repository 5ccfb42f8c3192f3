//! A model loaded on a device with its KV cache: the layer that perplexity, logits and the scheduler share.

use std::sync::Arc;

use turbo_backend::{
    BLOCK_TOKENS, Backend, BackendError, BatchItem, DeviceInfo, Engine, KvPoolSpec, KvTypes, LogitsFor, MemoryUse,
    PoolId,
};

use crate::error::RuntimeError;
use crate::fit;
use crate::model::Model;

/// How a [`Context`] is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContextOptions {
    /// Types of the KV cache.
    pub types: KvTypes,
    /// Tokens that the cache holds, over all sequences. `None`: as many as the model was trained for, or as many
    /// as fit if that is less.
    pub tokens: Option<usize>,
}

/// The cache of one sequence: which blocks hold it and how many tokens are in them.
#[derive(Debug, Default)]
pub struct Sequence {
    blocks: Vec<u32>,
    len: usize,
}

impl Sequence {
    /// Tokens in the cache.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token is in the cache.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// New tokens for one sequence in a [`Context::forward`].
pub struct SequenceInput<'a> {
    /// The sequence, which grows by the tokens.
    pub sequence: &'a mut Sequence,
    /// The tokens.
    pub tokens: &'a [u32],
    /// Which of them get logits.
    pub logits: LogitsFor,
}

/// A loaded model and its KV cache.
pub struct Context {
    model: Arc<Model>,
    engine: Box<dyn Engine>,
    pool: PoolId,
    spec: KvPoolSpec,
    types: KvTypes,
    tokens: usize,
    cut: bool,
    free: Vec<u32>,
}

impl Context {
    /// Loads `model` on `backend` and allocates its KV cache. `progress` is told bytes done and in all.
    ///
    /// # Errors
    /// A context that does not fit in memory, and whatever the backend refuses.
    pub fn new(
        model: Arc<Model>,
        backend: &dyn Backend,
        options: ContextOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, RuntimeError> {
        let fit::Decision { tokens, spec, cut } = fit::decide(&model, backend, options.types, options.tokens)?;
        // LongRoPE has other frequencies for long contexts than for short ones.
        let plan = Arc::new(turbo_model::build_plan_for_context(&model.file, tokens)?);
        let mut engine = backend.load(plan, Arc::clone(&model.file), progress)?;
        let pool = engine.create_pool(&spec)?;
        let free = (0..spec.n_blocks as u32).rev().collect();
        Ok(Self { model, engine, pool, spec, types: options.types, tokens, cut, free })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The device it runs on.
    pub fn device(&self) -> DeviceInfo {
        self.engine.device()
    }

    /// Tokens that the cache holds, which is also the most that one sequence may have.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether the model was trained for more tokens than fit, and it was not said how many to hold.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// What the engine has taken on its device, if it counts that.
    pub fn memory_use(&self) -> Option<MemoryUse> {
        self.engine.memory_use()
    }

    /// Types of the KV cache.
    pub fn types(&self) -> KvTypes {
        self.types
    }

    /// Layout and size of the KV cache.
    pub fn kv(&self) -> &KvPoolSpec {
        &self.spec
    }

    /// Most tokens that one [`Self::forward`] takes.
    pub fn max_batch_tokens(&self) -> usize {
        self.engine.max_batch_tokens()
    }

    /// Blocks that no sequence holds.
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// Blocks that `sequence` lacks to grow by `tokens`.
    pub fn blocks_needed(&self, sequence: &Sequence, tokens: usize) -> usize {
        (sequence.len + tokens).div_ceil(BLOCK_TOKENS).saturating_sub(sequence.blocks.len())
    }

    /// Drops all tokens from position `len` on.
    pub fn truncate(&mut self, sequence: &mut Sequence, len: usize) {
        sequence.len = sequence.len.min(len);
        let keep = sequence.len.div_ceil(BLOCK_TOKENS);
        self.free.extend(sequence.blocks.drain(keep..).rev());
    }

    /// Runs one batch: all tokens of all inputs. `logits` gets one row per token that asked for one.
    ///
    /// # Errors
    /// An unknown token, a sequence that outgrows the context, whatever the backend reports. The sequences are
    /// then as long as they were before.
    pub fn forward(&mut self, inputs: &mut [SequenceInput<'_>], logits: &mut Vec<f32>) -> Result<(), RuntimeError> {
        for input in inputs.iter_mut() {
            self.model.check_tokens(input.tokens)?;
            self.reserve(input.sequence, input.tokens.len())?;
        }
        let items: Vec<BatchItem<'_>> = inputs
            .iter()
            .map(|input| BatchItem {
                pool: self.pool,
                blocks: &input.sequence.blocks,
                start: input.sequence.len,
                tokens: input.tokens,
                logits: input.logits,
            })
            .collect();
        self.engine.forward(&items, logits)?;
        for input in inputs {
            input.sequence.len += input.tokens.len();
        }
        Ok(())
    }

    /// Runs any number of tokens of one sequence, in as many batches as it takes; with [`LogitsFor::All`] the rows
    /// of each batch go to `rows` as they come, so that not all have to be in memory at once.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn extend(
        &mut self,
        sequence: &mut Sequence,
        tokens: &[u32],
        wanted: LogitsFor,
        rows: &mut dyn FnMut(&[f32]),
    ) -> Result<(), RuntimeError> {
        let n_vocab = self.model.plan.n_vocab;
        let max = match wanted {
            LogitsFor::All => self.max_batch_tokens().min((8 << 20) / n_vocab).max(1),
            LogitsFor::None | LogitsFor::Last => self.max_batch_tokens(),
        };
        let mut logits = Vec::new();
        let n_batches = tokens.len().div_ceil(max);
        for (index, tokens) in tokens.chunks(max).enumerate() {
            let last = index + 1 == n_batches;
            let wanted = if wanted == LogitsFor::Last && !last { LogitsFor::None } else { wanted };
            let input = SequenceInput { sequence: &mut *sequence, tokens, logits: wanted };
            self.forward(&mut [input], &mut logits)?;
            logits.chunks_exact(n_vocab).for_each(&mut *rows);
        }
        Ok(())
    }

    fn reserve(&mut self, sequence: &mut Sequence, tokens: usize) -> Result<(), RuntimeError> {
        let needed = self.blocks_needed(sequence, tokens);
        if sequence.len + tokens > self.tokens {
            return Err(RuntimeError::PromptTooLong { prompt: sequence.len + tokens, context: self.tokens });
        }
        if needed > self.free.len() {
            return Err(BackendError::InvalidBatch(format!(
                "{needed} KV blocks are needed, {} are free",
                self.free.len()
            ))
            .into());
        }
        let at = self.free.len() - needed;
        sequence.blocks.extend(self.free.drain(at..).rev());
        Ok(())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.engine.free_pool(self.pool);
    }
}
