//! KV pools on the device, and the memory that attention works in.

use std::collections::BTreeMap;

use turbo_backend::plan::{Plan, Step};
use turbo_backend::{BackendError, KvLayer, KvPoolSpec, PoolId};

use super::batch::Batch;
use crate::attention::decode::{Scratch, Side};
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

/// Hand-over memory of attention, one for every kind of slot.
#[derive(Default)]
pub(super) struct Scratches {
    made: Vec<(KvLayer, usize, u32, Scratch)>,
}

impl Scratches {
    /// Makes room for `batch` in the slot, in every pool it uses; `biased` if there are key biases.
    pub(super) fn reserve(
        &mut self,
        gpu: &Gpu,
        plan: &Plan,
        pools: &BTreeMap<PoolId, Pool>,
        batch: &Batch,
        slot: usize,
        biased: bool,
    ) -> Result<(), GpuError> {
        let heads = plan.steps.iter().filter_map(|step| match step {
            Step::Attention { slot: s, spec, .. } if *s == slot => Some(spec.n_heads),
            _ => None,
        });
        let heads = heads.max().unwrap_or(0);
        for run in &batch.runs {
            let Some(pool) = pools.get(&run.pool) else { continue };
            let (layer, rows, chunks) = (pool.layer(slot), run.tokens.len() * heads, batch.chunks());
            let at = self.made.iter().position(|(made, ..)| made == layer);
            match at {
                Some(i) if self.made[i].1 >= rows && self.made[i].2 >= chunks => continue,
                Some(i) => drop(self.made.swap_remove(i)),
                None => {}
            }
            // Contexts grow token by token: leave room for a while.
            let chunks = chunks.next_power_of_two().max(4);
            let scratch = Scratch::new(gpu, layer, rows, chunks)?;
            let scratch = if biased { scratch.with_key_bias(gpu)? } else { scratch };
            self.made.push((*layer, rows, chunks, scratch));
        }
        Ok(())
    }

    /// The memory for slots like `layer`.
    pub(super) fn of(&self, layer: &KvLayer) -> Option<&Scratch> {
        self.made.iter().find(|(made, ..)| made == layer).map(|(.., scratch)| scratch)
    }
}
