//! The key biases of a plan on the device.

use turbo_backend::BackendError;
use turbo_backend::key_bias::{KeyTurns, SlotBias};
use turbo_backend::plan::{KeyBias, Plan};
use turbo_gguf::GgufFile;

use super::backend_error;
use crate::attention::key_bias::{KeyBiasTables, KeyTurnTables, SlotBiasTable};
use crate::error::GpuError;
use crate::gpu::Gpu;

/// Positions that the tables of a rotation reach over at first.
const FIRST_REACH: usize = 4096;

/// A rotation that turns biases.
struct Turns {
    host: KeyTurns,
    device: KeyTurnTables,
    reach: usize,
}

/// What attention adds to the keys of every cache slot.
pub(super) struct KeyBiases {
    /// By rotary embedding.
    turns: Vec<Option<Turns>>,
    /// Of every slot: which rotary embedding, and the bias.
    slots: Vec<Option<(usize, SlotBiasTable)>>,
}

impl KeyBiases {
    /// Makes and uploads the constants of all biases of `plan`.
    ///
    /// # Errors
    /// A bias that is missing or holds inf or nan, too little memory, a failing device.
    pub(super) fn new(gpu: &Gpu, plan: &Plan, file: &GgufFile) -> Result<Self, BackendError> {
        let fail = |error| backend_error(gpu, error);
        let mut turns: Vec<Option<Turns>> = plan.ropes.iter().map(|_| None).collect();
        let mut slots = Vec::with_capacity(plan.key_bias.len());
        for (bias, shape) in plan.key_bias.iter().zip(&plan.kv) {
            let Some(KeyBias { weight, rope }) = *bias else {
                slots.push(None);
                continue;
            };
            let table = &plan.ropes[rope];
            let host = match &turns[rope] {
                Some(turns) => turns.host.clone(),
                None => KeyTurns::new(table),
            };
            let weight = plan.weight(weight);
            let values = super::weights::vector_values(gpu, file, weight)?;
            let slot =
                SlotBias::new(&values, shape.head_dim_k, table, &host).map_err(|value| BackendError::WeightValue {
                    file: file.path().to_string(),
                    tensor: weight.tensor.clone(),
                    index: value.index,
                    found: value.found,
                })?;
            slots.push(Some((rope, SlotBiasTable::new(gpu, &slot).map_err(fail)?)));
            if turns[rope].is_none() {
                turns[rope] = Some(Turns::new(gpu, host, FIRST_REACH).map_err(fail)?);
            }
        }
        Ok(Self { turns, slots })
    }

    /// Gets ready for positions below `end`.
    pub(super) fn reach(&mut self, gpu: &Gpu, end: usize) -> Result<(), GpuError> {
        for turns in self.turns.iter_mut().flatten() {
            if turns.reach < end {
                // Twice as far as needed, so that a growing context does it seldom.
                *turns = Turns::new(gpu, turns.host.clone(), end.next_power_of_two())?;
            }
        }
        Ok(())
    }

    /// Whether any slot has one.
    pub(super) fn any(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }

    /// The bias of a slot.
    pub(super) fn of(&self, slot: usize) -> Option<KeyBiasTables<'_>> {
        let (rope, slot) = self.slots.get(slot)?.as_ref()?;
        Some(KeyBiasTables { slot, turns: &self.turns[*rope].as_ref()?.device })
    }
}

impl Turns {
    fn new(gpu: &Gpu, mut host: KeyTurns, reach: usize) -> Result<Self, GpuError> {
        host.reach(reach);
        Ok(Self { device: KeyTurnTables::new(gpu, &host)?, host, reach })
    }
}
