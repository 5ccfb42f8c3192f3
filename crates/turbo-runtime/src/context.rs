//! A model loaded on a device with its KV cache: the layer that perplexity, logits and the scheduler share.

use std::collections::VecDeque;
use std::sync::Arc;

use turbo_backend::{
    BLOCK_TOKENS, Backend, BackendError, BatchItem, DeviceInfo, Engine, KvPoolSpec, KvTypes, LogitsFor, MemoryUse,
    PoolId, Results, place_of,
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
    /// The tokens; where the device chooses tokens, [`chosen_at`](turbo_backend::chosen_at) stands for one of those.
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
    /// Results of batches that were submitted to an engine that works at once.
    done: VecDeque<Results>,
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
        Ok(Self { model, engine, pool, spec, types: options.types, tokens, cut, free, done: VecDeque::new() })
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

    /// Places that the device keeps tokens in that it chooses itself; none if that is left to the caller.
    pub fn choice_places(&mut self) -> usize {
        self.engine.chooser().map_or(0, |chooser| chooser.places())
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
        let before: Vec<usize> = inputs.iter().map(|input| input.sequence.len).collect();
        self.submit(inputs)?;
        let mut results = Results { logits: std::mem::take(logits), ..Results::default() };
        let collected = self.collect(&mut results);
        *logits = results.logits;
        if collected.is_err() {
            inputs.iter_mut().zip(before).for_each(|(input, len)| self.truncate(input.sequence, len));
        }
        collected
    }

    /// Starts one batch: all tokens of all inputs. [`Self::collect`] waits for it; where the device chooses tokens, the
    /// next batch can be submitted before.
    ///
    /// # Errors
    /// As [`Self::forward`], as far as it is known before the batch has run. The sequences are then as long as they
    /// were before.
    pub fn submit(&mut self, inputs: &mut [SequenceInput<'_>]) -> Result<(), RuntimeError> {
        let places = self.choice_places();
        for input in inputs.iter_mut() {
            self.model
                .check_tokens(input.tokens.iter().filter(|&&t| place_of(t).is_none_or(|p| p as usize >= places)))?;
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
        if let Some(chooser) = self.engine.chooser() {
            chooser.submit(&items)?;
        } else {
            let mut results = Results::default();
            self.engine.forward(&items, &mut results.logits)?;
            self.done.push_back(results);
        }
        for input in inputs {
            input.sequence.len += input.tokens.len();
        }
        Ok(())
    }

    /// Waits for the oldest batch that was not collected.
    ///
    /// # Errors
    /// Whatever the backend reports. The sequences are then longer than what is of use in their cache: truncate
    /// them. What was submitted since is of no use either, but must be collected.
    pub fn collect(&mut self, results: &mut Results) -> Result<(), RuntimeError> {
        if let Some(done) = self.done.pop_front() {
            *results = done;
            return Ok(());
        }
        match self.engine.chooser() {
            Some(chooser) => Ok(chooser.collect(results)?),
            None => Err(BackendError::InvalidBatch("there is no batch to wait for".into()).into()),
        }
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
            LogitsFor::All => self.max_batch_tokens().min(self.engine.max_logits()).max(1),
            LogitsFor::None | LogitsFor::Last | LogitsFor::Choice(_) => self.max_batch_tokens(),
        };
        let mut logits = Vec::new();
        let n_batches = tokens.len().div_ceil(max);
        for (index, tokens) in tokens.chunks(max).enumerate() {
            let last = index + 1 == n_batches;
            let wanted = if wanted == LogitsFor::All || last { wanted } else { LogitsFor::None };
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
