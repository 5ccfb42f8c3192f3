//! Who reads and who writes which value of a plan.

use crate::plan::{Plan, Step, ValueId};

/// Most values of a row whose codes have 16 bits whatever reads them.
const SHORT_ROW: usize = 512;

impl Step {
    /// The value that the step writes; steps of the cache write none.
    pub fn written(&self) -> Option<ValueId> {
        match *self {
            Self::Embed { out, .. }
            | Self::RmsNorm { out, .. }
            | Self::MatMul { out, .. }
            | Self::Attention { out, .. } => Some(out),
            Self::Rope { x, .. }
            | Self::Add { x, .. }
            | Self::Scale { x, .. }
            | Self::SoftCap { x, .. }
            | Self::SelectLogits { x } => Some(x),
            Self::GatedAct { gate, .. } => Some(gate),
            Self::KvWrite { .. } => None,
        }
    }

    /// Whether the step reads `value`.
    pub fn reads(&self, value: ValueId) -> bool {
        match *self {
            Self::Embed { .. } => false,
            Self::RmsNorm { x, .. }
            | Self::MatMul { x, .. }
            | Self::Rope { x, .. }
            | Self::Scale { x, .. }
            | Self::SoftCap { x, .. }
            | Self::SelectLogits { x } => x == value,
            Self::KvWrite { k, v, .. } => k == value || v == value,
            Self::Attention { q, .. } => q == value,
            Self::GatedAct { gate, up, .. } => gate == value || up == value,
            Self::Add { x, y } => x == value || y == value,
        }
    }
}

impl Plan {
    /// Most query heads of an attention step.
    pub fn most_heads(&self) -> usize {
        let heads = self.steps.iter().filter_map(|step| match step {
            Step::Attention { spec, .. } => Some(spec.n_heads),
            _ => None,
        });
        heads.max().unwrap_or(0)
    }

    /// Whether a step from `first` on reads `value` before it is written again, or it is the result.
    pub fn reads_before_write(&self, first: usize, value: ValueId) -> bool {
        for step in &self.steps[first.min(self.steps.len())..] {
            if step.reads(value) {
                return true;
            }
            if step.written() == Some(value) {
                return false;
            }
        }
        value == self.logits
    }

    /// For every step that is a product: whether its input is wanted with 16 bits where products take integers.
    ///
    /// The inputs of three kinds of products are:
    /// - results of gated activations: a few are far larger than the rest, and codes of 8 bits leave little of their
    ///   neighbours;
    /// - the last states, from which the logits come: nothing after them evens errors out;
    /// - rows of at most 512 values: in short sums errors even out little, and small models are quick as it is.
    ///
    /// With 8 bits there, the noise of a q8_0 KV cache would come out several times as large as it is
    /// (docs/perf/cpu.md).
    pub fn wide_inputs(&self) -> Vec<bool> {
        let mut wide = vec![false; self.steps.len()];
        // Of every value, since it was written: its readers, and whether it is wide.
        let mut versions = vec![(Vec::new(), false); self.values.len()];
        let mut close = |(readers, is_wide): (Vec<usize>, bool)| {
            for reader in readers {
                wide[reader] = is_wide;
            }
        };
        for (index, step) in self.steps.iter().enumerate() {
            if let Step::MatMul { x, out, .. } = *step {
                let version = &mut versions[x.0 as usize];
                version.0.push(index);
                version.1 |= out == self.logits || self.width(x) <= SHORT_ROW;
            }
            if let Some(value) = step.written() {
                let fresh = (Vec::new(), matches!(step, Step::GatedAct { .. }));
                close(std::mem::replace(&mut versions[value.0 as usize], fresh));
            }
        }
        versions.into_iter().for_each(close);
        wide
    }
}
