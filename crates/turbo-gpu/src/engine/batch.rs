//! A batch as the kernels see it: tokens, positions, cache places, sequences.

use std::ops::Range;

use turbo_backend::plan::Plan;
use turbo_backend::{BLOCK_TOKENS, BackendError, BatchItem, ChoiceWords, LogitsFor, PoolId};

use crate::attention::decode::Sequence;
use crate::buffer::Buffer;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kv::cache::slot;

/// Items that follow each other and have one pool.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) pool: PoolId,
    /// Its tokens.
    pub(super) tokens: Range<usize>,
    /// Its sequences, with tokens counted from the start of the run.
    pub(super) sequences: Vec<Sequence>,
    /// Where its sequences start on the device.
    pub(super) sequence_at: usize,
    /// Where the cache places of its tokens start on the device.
    pub(super) slot_at: usize,
}

/// What a batch may have at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) tokens: usize,
    /// Of logits.
    pub(super) rows: usize,
}

/// A batch on the host.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) tokens: Vec<u32>,
    pub(super) positions: Vec<u32>,
    /// Where K and V of each token go.
    pub(super) slots: Vec<u32>,
    /// Tokens whose logits are wanted: first those that the host wants, then one for every choice.
    pub(super) wanted: Vec<u32>,
    /// What is chosen on the device.
    pub(super) choices: Vec<ChoiceWords>,
    /// Their tokens, until all items are there.
    chosen_from: Vec<u32>,
    /// Block tables after each other.
    pub(super) tables: Vec<u32>,
    pub(super) runs: Vec<Run>,
}

impl Batch {
    /// Checks `items`; `check` is asked about pools, blocks and chosen tokens.
    ///
    /// # Errors
    /// Items that do not describe valid work.
    pub(super) fn new(
        items: &[BatchItem<'_>],
        max: Most,
        check: impl Fn(&BatchItem<'_>) -> Result<(), BackendError>,
    ) -> Result<Self, BackendError> {
        let mut batch = Self::default();
        let total: usize = items.iter().map(|item| item.tokens.len()).sum();
        if total > max.tokens {
            return Err(BackendError::InvalidBatch(format!("{total} tokens, at most {} fit", max.tokens)));
        }
        for item in items.iter().filter(|item| !item.tokens.is_empty()) {
            let end = item.start + item.tokens.len();
            if item.blocks.len() * BLOCK_TOKENS < end || u32::try_from(end).is_err() {
                let blocks = item.blocks.len();
                return Err(BackendError::InvalidBatch(format!("{end} positions in {blocks} blocks")));
            }
            check(item)?;
            batch.add(item);
        }
        let mut choosing = std::mem::take(&mut batch.chosen_from);
        batch.wanted.append(&mut choosing);
        if batch.wanted.len() > max.rows {
            let (rows, most) = (batch.wanted.len(), max.rows);
            return Err(BackendError::InvalidBatch(format!("logits of {rows} tokens, at most {most} fit")));
        }
        Ok(batch)
    }

    fn add(&mut self, item: &BatchItem<'_>) {
        let first = self.tokens.len();
        let (n, end) = (item.tokens.len(), item.start + item.tokens.len());
        if self.runs.last().is_none_or(|run| run.pool != item.pool) {
            let (sequence_at, slot_at) = self.runs.last().map_or((0, 0), |run| {
                let sequences = run.sequences.len().next_multiple_of(ALIGNED_SEQUENCES);
                (run.sequence_at + sequences, run.slot_at + run.tokens.len().next_multiple_of(ALIGNED_WORDS))
            });
            let run = Run { pool: item.pool, tokens: first..first, sequences: Vec::new(), sequence_at, slot_at };
            self.runs.push(run);
        }
        if let Some(run) = self.runs.last_mut() {
            run.tokens.end = first + n;
            run.sequences.push(Sequence {
                first: (first - run.tokens.start) as u32,
                tokens: n as u32,
                start: item.start as u32,
                table: self.tables.len() as u32,
            });
        }
        self.tokens.extend_from_slice(item.tokens);
        self.tables.extend_from_slice(&item.blocks[..end.div_ceil(BLOCK_TOKENS)]);
        for position in item.start..end {
            self.positions.push(position as u32);
            self.slots.push(slot(item.blocks[position / BLOCK_TOKENS], (position % BLOCK_TOKENS) as u32));
        }
        match item.logits {
            LogitsFor::None => {}
            LogitsFor::Last => self.wanted.push((first + n - 1) as u32),
            LogitsFor::All => self.wanted.extend(first as u32..(first + n) as u32),
            LogitsFor::Choice(choice) => {
                self.choices.push(choice.words());
                self.chosen_from.push((first + n - 1) as u32);
            }
        }
    }

    /// Whether the wanted tokens are all tokens, in their order.
    pub(super) fn wants_all(&self) -> bool {
        self.wanted.iter().copied().eq(0..self.tokens.len() as u32)
    }

    /// Rows of logits that the host wants.
    pub(super) fn rows_for_host(&self) -> usize {
        self.wanted.len() - self.choices.len()
    }

    /// Most chunks that a sequence sees.
    pub(super) fn chunks(&self) -> u32 {
        self.runs.iter().flat_map(|run| &run.sequences).map(|s| s.chunks(None)).max().unwrap_or(0)
    }
}

/// The batch on the device.
pub(super) struct DeviceBatch {
    pub(super) tokens: Buffer<u32>,
    pub(super) slots: Buffer<u32>,
    pub(super) wanted: Buffer<u32>,
    pub(super) tables: Buffer<u32>,
    /// Sequences of the runs.
    pub(super) sequences: Buffer<Sequence>,
    /// Per rotary embedding, cosines and sines of every token.
    pub(super) factors: Vec<Buffer<f32>>,
}

/// Runs start where every device can bind: at so many words, or sequences.
const ALIGNED_WORDS: usize = 64;
const ALIGNED_SEQUENCES: usize = 256 / size_of::<Sequence>();

impl DeviceBatch {
    pub(super) fn new(gpu: &Gpu, plan: &Plan, max: usize) -> Result<Self, GpuError> {
        let factors = plan.ropes.iter().map(|rope| gpu.buffer("rope factors", max * 2 * rope.inv_freq.len()));
        Ok(Self {
            tokens: gpu.buffer("tokens", max)?,
            slots: gpu.buffer("cache places", max * ALIGNED_WORDS)?,
            wanted: gpu.buffer("wanted rows", max)?,
            tables: gpu.buffer("block tables", 4096)?,
            sequences: gpu.buffer("sequences", max * ALIGNED_SEQUENCES)?,
            factors: factors.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn upload(&mut self, gpu: &Gpu, plan: &Plan, batch: &Batch) -> Result<(), GpuError> {
        gpu.write(&self.tokens, 0, &batch.tokens)?;
        gpu.write(&self.wanted, 0, &batch.wanted)?;
        if self.tables.len() < batch.tables.len() {
            self.tables = gpu.buffer("block tables", batch.tables.len().next_power_of_two())?;
        }
        gpu.write(&self.tables, 0, &batch.tables)?;
        for run in &batch.runs {
            gpu.write(&self.sequences, run.sequence_at, &run.sequences)?;
            gpu.write(&self.slots, run.slot_at, &batch.slots[run.tokens.clone()])?;
        }
        for (to, rope) in self.factors.iter().zip(&plan.ropes) {
            let mut factors = Vec::new();
            rope.factors(&batch.positions, &mut factors);
            gpu.write(to, 0, &factors)?;
        }
        Ok(())
    }
}
