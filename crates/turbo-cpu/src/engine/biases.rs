//! The key biases of a plan.

use turbo_backend::BackendError;
use turbo_backend::plan::{KeyBias, Plan};

use super::weights::Weights;
use crate::attention::{KeyBiasTable, KeyTurns, SlotBias};

/// What attention adds to the keys of every cache slot.
pub(super) struct KeyBiases {
    /// Of every rotary embedding that turns a bias.
    turns: Vec<Option<KeyTurns>>,
    /// Of every slot: which rotary embedding, and the bias.
    slots: Vec<Option<(usize, SlotBias)>>,
}

impl KeyBiases {
    /// Makes the constants of all biases of `plan`.
    ///
    /// # Errors
    /// A bias with a value that is inf or nan.
    pub(super) fn new(plan: &Plan, weights: &Weights) -> Result<Self, BackendError> {
        let mut turns: Vec<Option<KeyTurns>> = vec![None; plan.ropes.len()];
        let mut slots = Vec::with_capacity(plan.key_bias.len());
        for (bias, shape) in plan.key_bias.iter().zip(&plan.kv) {
            let Some(KeyBias { weight, rope }) = *bias else {
                slots.push(None);
                continue;
            };
            let table = &plan.ropes[rope];
            let turns = turns[rope].get_or_insert_with(|| KeyTurns::new(table));
            let slot = SlotBias::new(weights.vector(weight), shape.head_dim_k, table, turns).map_err(|value| {
                BackendError::WeightValue {
                    file: weights.path(),
                    tensor: plan.weight(weight).tensor.clone(),
                    index: value.index,
                    found: value.found,
                }
            })?;
            slots.push(Some((rope, slot)));
        }
        Ok(Self { turns, slots })
    }

    /// Gets ready for positions below `end`.
    pub(super) fn reach(&mut self, end: usize) {
        self.turns.iter_mut().flatten().for_each(|turns| turns.reach(end));
    }

    /// The bias of a slot.
    pub(super) fn of(&self, slot: usize) -> Option<KeyBiasTable<'_>> {
        let (rope, slot) = self.slots.get(slot)?.as_ref()?;
        Some(KeyBiasTable { slot, turns: self.turns[*rope].as_ref()? })
    }
}
