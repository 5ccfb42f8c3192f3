//! KV pools on the device, and the memory that attention works in.

use std::collections::BTreeMap;

use turbo_backend::plan::{Plan, Step};
use turbo_backend::{BLOCK_TOKENS, BackendError, CHUNK_TOKENS, KvLayer, KvPoolSpec, PoolId};

use super::batch::Batch;
use super::fuse::Op;
use super::heads::{HeadsWay, Straight, window};
use crate::attention::decode::{Scratch, Side};
use crate::attention::job::Way;
use crate::buffer::Buffer;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kv::cache::PoolPart;

/// A pool: for every cache slot its blocks, K units before V units.
pub(super) struct Pool {
    spec: KvPoolSpec,
    slots: Vec<Buffer<u32>>,
}

impl Pool {
    pub(super) fn new(gpu: &Gpu, spec: &KvPoolSpec) -> Result<Self, GpuError> {
        let limit = gpu.capabilities().max_binding_bytes;
        let mut slots = Vec::with_capacity(spec.layers.len());
        for (index, layer) in spec.layers.iter().enumerate() {
            let bytes = spec.n_blocks as u64 * layer.block_bytes() as u64;
            if bytes > limit {
                return Err(GpuError::OutOfMemory {
                    device: gpu.name().to_owned(),
                    what: format!("the KV cache of layer {index}"),
                    bytes,
                    reason: format!("kernels see at most {limit} bytes of a layer at once on this device"),
                });
            }
            slots.push(gpu.buffer(&format!("kv.{index}"), spec.n_blocks * layer.block_bytes() / 4)?);
        }
        Ok(Self { spec: spec.clone(), slots })
    }

    /// Refuses block numbers that the pool does not have.
    pub(super) fn check(&self, blocks: &[u32]) -> Result<(), BackendError> {
        match blocks.iter().find(|&&block| block as usize >= self.spec.n_blocks) {
            None => Ok(()),
            Some(block) => {
                Err(BackendError::InvalidBatch(format!("block {block} of a pool of {}", self.spec.n_blocks)))
            }
        }
    }

    /// Chunks of the longest sequence that the pool can hold.
    pub(super) fn chunks(&self) -> usize {
        (self.spec.n_blocks * BLOCK_TOKENS).div_ceil(CHUNK_TOKENS)
    }

    pub(super) fn layer(&self, slot: usize) -> &KvLayer {
        &self.spec.layers[slot]
    }

    /// All blocks of a slot.
    pub(super) fn part(&self, slot: usize) -> PoolPart<'_> {
        PoolPart {
            bind: self.slots[slot].bind(),
            first_block: 0,
            blocks: self.spec.n_blocks as u32,
            block_words: (self.layer(slot).block_bytes() / 4) as u32,
        }
    }

    /// K and V of a slot.
    pub(super) fn sides(&self, slot: usize) -> [Side<'_>; 2] {
        let pool = self.part(slot);
        let offset = self.layer(slot).k.block_words() as u32;
        [Side { pool, offset: 0 }, Side { pool, offset }]
    }
}

/// Hand-over memory of attention: one for every kind of slot and way.
#[derive(Default)]
pub(super) struct Scratches {
    made: Vec<Made>,
}

struct Made {
    layer: KvLayer,
    prefill: bool,
    rows: usize,
    chunks: u32,
    scratch: Scratch,
}

impl Made {
    fn is_for(&self, layer: &KvLayer, way: &Way) -> bool {
        self.layer == *layer && self.prefill == matches!(way, Way::Prefill(_))
    }
}

/// How attention is done, by run of the batch and step of the plan.
pub(super) type Ways = Vec<Vec<Option<HeadsWay>>>;

impl Scratches {
    /// Decides how the attention steps of `plan`, and those before them, are done for `batch`, and makes room for them;
    /// `biased` if there are key biases.
    pub(super) fn reserve(
        &mut self,
        gpu: &Gpu,
        (plan, ops): (&Plan, &[Op]),
        pools: &BTreeMap<PoolId, Pool>,
        batch: &Batch,
        biased: bool,
    ) -> Result<Ways, GpuError> {
        let mut ways = Vec::with_capacity(batch.runs.len());
        for run in &batch.runs {
            let mut of_run: Vec<Option<HeadsWay>> = vec![None; plan.steps.len()];
            let mut last = None;
            for (index, rope) in ops.iter().filter_map(|op| op.attention(plan)) {
                let (Step::Attention { slot, spec, .. }, Some(pool)) = (&plan.steps[index], pools.get(&run.pool))
                else {
                    continue;
                };
                let (layer, heads) = (pool.layer(*slot), spec.n_heads);
                let like = (*layer, heads, spec.window, rope);
                // Most layers are like the one before.
                if let Some((before, way)) = last
                    && before == like
                {
                    of_run[index] = Some(way);
                    continue;
                }
                let way = Way::choose(gpu, layer, heads as u32, &run.sequences, window(spec))?;
                self.make(gpu, layer, &way, (run.tokens.len() * heads, batch.chunks()), biased)?;
                let straight = rope.map_or(Ok(None), |rope| Straight::find(gpu, layer, &plan.ropes[rope]))?;
                last = Some((like, HeadsWay { way, straight }));
                of_run[index] = Some(HeadsWay { way, straight });
            }
            ways.push(of_run);
        }
        Ok(ways)
    }

    fn make(
        &mut self,
        gpu: &Gpu,
        layer: &KvLayer,
        way: &Way,
        (rows, chunks): (usize, u32),
        biased: bool,
    ) -> Result<(), GpuError> {
        match self.made.iter().position(|made| made.is_for(layer, way)) {
            Some(i) if self.made[i].rows >= rows && self.made[i].chunks >= chunks => return Ok(()),
            Some(i) => drop(self.made.swap_remove(i)),
            None => {}
        }
        // Contexts grow token by token: leave room for a while.
        let chunks = chunks.next_power_of_two().max(4);
        let scratch = way.scratch(gpu, layer, rows, chunks)?;
        let scratch = if biased { scratch.with_key_bias(gpu)? } else { scratch };
        self.made.push(Made { layer: *layer, prefill: matches!(way, Way::Prefill(_)), rows, chunks, scratch });
        Ok(())
    }

    /// The memory for slots like `layer`.
    pub(super) fn of(&self, layer: &KvLayer, way: &Way) -> Option<&Scratch> {
        self.made.iter().find(|made| made.is_for(layer, way)).map(|made| &made.scratch)
    }
}
