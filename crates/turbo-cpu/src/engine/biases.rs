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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use turbo_backend::KvShape;
    use turbo_backend::plan::{RopeStyle, RopeTable, ValueId, Weight, WeightId};
    use turbo_gguf::GgufFile;
    use turbo_testkit::GgufBuilder;

    use super::*;

    fn biases(values: [f32; 4]) -> Result<KeyBiases, BackendError> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let file = GgufBuilder::new(3).tensor("blk.0.attn_k.bias", &[4], 0, &bytes).build();
        let file = GgufFile::from_static("tiny.gguf", file.leak()).expect("a valid file");
        let plan = Plan {
            architecture: "qwen2".into(),
            n_layers: 1,
            d_model: 4,
            n_vocab: 1,
            context_length: 64,
            values: Vec::new(),
            weights: vec![Weight { tensor: "blk.0.attn_k.bias".into(), cols: 4, rows: 1 }],
            kv: vec![KvShape { n_kv_heads: 2, head_dim_k: 2, head_dim_v: 2 }; 2],
            key_bias: vec![None, Some(KeyBias { weight: WeightId(0), rope: 0 })],
            ropes: vec![RopeTable { style: RopeStyle::Neox, inv_freq: vec![1.0], magnitude: 1.0 }],
            steps: Vec::new(),
            layer_starts: vec![0],
            logits: ValueId(0),
        };
        let weights = Weights::new(&plan, Arc::new(file))?;
        KeyBiases::new(&plan, &weights)
    }

    #[test]
    fn a_slot_has_its_own_bias_or_none() {
        let biases = biases([1.0, 2.0, 3.0, 4.0]).expect("finite");
        assert!(biases.of(0).is_none());
        let table = biases.of(1).expect("the second slot has a bias");
        assert_eq!(table.key(1, 0), [3.0, 4.0]);
    }

    #[test]
    fn a_bias_that_is_not_finite_names_its_tensor() {
        let error = biases([1.0, 2.0, f32::NAN, 4.0]).err().expect("a bias is nan");
        assert_eq!(
            error.to_string(),
            "tiny.gguf: tensor blk.0.attn_k.bias holds NaN at value 2, expected finite numbers: the file is damaged or \
             was converted wrongly"
        );
    }
}
