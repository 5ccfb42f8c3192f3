//! Collects a plan: looks tensors up, checks their shapes, hands out ids.

use std::collections::{HashMap, HashSet};

use turbo_backend::KvShape;
use turbo_backend::plan::{KeyBias, Plan, RopeTable, Step, Value, ValueId, Weight, WeightId};
use turbo_gguf::{GgmlType, TensorInfo};

use crate::ModelError;
use crate::hparams::Hparams;
use crate::keys::Keys;

/// A plan in the making.
pub(crate) struct Builder<'a> {
    keys: Keys<'a>,
    plan: Plan,
    weights: HashMap<String, WeightId>,
    used: HashSet<String>,
}

impl<'a> Builder<'a> {
    /// An empty plan for a model of these sizes.
    pub(crate) fn new(keys: Keys<'a>, hparams: &Hparams) -> Self {
        let plan = Plan {
            architecture: keys.architecture.to_owned(),
            n_layers: hparams.n_layers,
            d_model: hparams.d_model,
            n_vocab: 0,
            context_length: hparams.context_length,
            values: Vec::new(),
            weights: Vec::new(),
            kv: Vec::new(),
            key_bias: Vec::new(),
            ropes: Vec::new(),
            steps: Vec::new(),
            layer_starts: Vec::new(),
            logits: ValueId(0),
        };
        Self { keys, plan, weights: HashMap::new(), used: HashSet::new() }
    }

    /// The activation of this name and width: layers that ask for the same one share it.
    pub(crate) fn value(&mut self, name: &str, width: usize) -> ValueId {
        let values = &mut self.plan.values;
        let index = values.iter().position(|v| v.name == name && v.width == width).unwrap_or_else(|| {
            values.push(Value { name: name.to_owned(), width });
            values.len() - 1
        });
        ValueId(index as u32)
    }

    /// A tensor that must be there in this shape (row length first).
    pub(crate) fn weight(&mut self, tensor: &str, shape: &[usize]) -> Result<WeightId, ModelError> {
        self.optional(tensor, shape)?.ok_or_else(|| ModelError::MissingTensor {
            file: self.keys.file_name(),
            tensor: tensor.to_owned(),
            expected: shape.iter().map(|&n| n as u64).collect(),
        })
    }

    /// A tensor that may be absent but otherwise has this shape.
    pub(crate) fn optional(&mut self, tensor: &str, shape: &[usize]) -> Result<Option<WeightId>, ModelError> {
        if let Some(&known) = self.weights.get(tensor) {
            return Ok(Some(known));
        }
        let Some(info) = self.find(tensor, shape)? else {
            return Ok(None);
        };
        // Reading the (mapped) bytes is what refuses a type that nobody can decode.
        self.keys.file.data(info)?;
        let id = WeightId(self.plan.weights.len() as u32);
        self.plan.weights.push(Weight {
            tensor: tensor.to_owned(),
            cols: shape.first().copied().unwrap_or(1),
            rows: shape.iter().skip(1).product(),
        });
        self.weights.insert(tensor.to_owned(), id);
        Ok(Some(id))
    }

    /// The values of an F32 vector of frequency divisors, if the tensor is there.
    pub(crate) fn divisors(&mut self, tensor: &str, len: usize) -> Result<Option<Vec<f32>>, ModelError> {
        let Some(info) = self.find(tensor, &[len])? else {
            return Ok(None);
        };
        let bytes = self.keys.file.data(info)?;
        let invalid = |found: String, expected| ModelError::InvalidTensor {
            file: self.keys.file_name(),
            tensor: tensor.to_owned(),
            found,
            expected,
        };
        match info.ggml_type() {
            Some(GgmlType::F32) => {}
            other => {
                let name = other.map_or("unknown", GgmlType::name);
                return Err(invalid(format!("has type {name}"), "f32"));
            }
        }
        let (chunks, _) = bytes.as_chunks::<4>();
        let values: Vec<f32> = chunks.iter().map(|&b| f32::from_le_bytes(b)).collect();
        match values.iter().find(|v| !(v.is_finite() && **v >= 0.001)) {
            Some(bad) => Err(invalid(format!("holds {bad}"), "finite divisors of at least 0.001")),
            None => Ok(Some(values)),
        }
    }

    fn find(&mut self, tensor: &str, shape: &[usize]) -> Result<Option<&'a TensorInfo>, ModelError> {
        let Some(info) = self.keys.file.tensor(tensor) else {
            return Ok(None);
        };
        // Writers may add dimensions of 1 at the end; they change nothing.
        let significant = info.shape.iter().rposition(|&n| n != 1).map_or(1, |last| last + 1);
        let expected: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        let wanted = expected.iter().rposition(|&n| n != 1).map_or(1, |last| last + 1);
        if info.shape.get(..significant) != expected.get(..wanted) {
            return Err(ModelError::Shape {
                file: self.keys.file_name(),
                tensor: tensor.to_owned(),
                found: info.shape.clone(),
                expected,
            });
        }
        self.used.insert(tensor.to_owned());
        Ok(Some(info))
    }

    /// Adds a step.
    pub(crate) fn step(&mut self, step: Step) {
        self.plan.steps.push(step);
    }

    /// Marks where the next layer's steps start.
    pub(crate) fn start_layer(&mut self) {
        self.plan.layer_starts.push(self.plan.steps.len());
    }

    /// A new cache slot, with the bias that its keys are stored without.
    pub(crate) fn kv_slot(&mut self, shape: KvShape, key_bias: Option<KeyBias>) -> usize {
        self.plan.kv.push(shape);
        self.plan.key_bias.push(key_bias);
        self.plan.kv.len() - 1
    }

    /// Takes the bias out of the last product that makes `value`.
    pub(crate) fn take_bias(&mut self, value: ValueId) -> Option<WeightId> {
        self.plan.steps.iter_mut().rev().find_map(|step| match step {
            Step::MatMul { bias, out, .. } if *out == value => Some(bias.take()),
            _ => None,
        })?
    }

    /// A rotary embedding.
    pub(crate) fn rope(&mut self, table: RopeTable) -> usize {
        self.plan.ropes.push(table);
        self.plan.ropes.len() - 1
    }

    /// The plan, whose result is `logits`.
    ///
    /// # Errors
    /// A tensor of the file that no step uses.
    pub(crate) fn finish(mut self, logits: ValueId) -> Result<Plan, ModelError> {
        if let Some(unused) = self.keys.file.tensors().iter().find(|t| !self.used.contains(&t.name)) {
            return Err(ModelError::UnknownTensor {
                file: self.keys.file_name(),
                tensor: unused.name.clone(),
                architecture: self.plan.architecture,
            });
        }
        self.plan.n_vocab = self.plan.width(logits);
        self.plan.logits = logits;
        Ok(self.plan)
    }
}
