//! In which forms the products of a plan take their inputs, decided when the plan is loaded.

use turbo_backend::BackendError;
use turbo_backend::plan::{Plan, Step, ValueId, WeightId};
use turbo_gguf::GgmlType;

use crate::matmul::Forms;

/// A value between two changes, and the products that read it.
#[derive(Default)]
struct Version {
    readers: Vec<(usize, GgmlType)>,
    wide: bool,
}

/// The forms of the input of every product, by step: those that all products of one input need.
///
/// The inputs of two kinds of products are taken in wide:
/// - results of gated activations: a few are far larger than the rest, and codes of 8 bits leave
///   little of their neighbours;
/// - the last states, from which the logits come: nothing after them evens errors out.
///
/// With 8 bits there, the noise of a q8_0 KV cache would come out several times as large as it is
/// (docs/perf/cpu.md).
pub(super) fn forms(
    plan: &Plan,
    type_of: impl Fn(WeightId) -> Result<GgmlType, BackendError>,
) -> Result<Vec<Forms>, BackendError> {
    let mut forms = vec![Forms::default(); plan.steps.len()];
    let mut versions: Vec<Version> = plan.values.iter().map(|_| Version::default()).collect();
    for (index, step) in plan.steps.iter().enumerate() {
        if let Step::MatMul { x, weight, out, .. } = *step {
            let input = &mut versions[x.0 as usize];
            input.readers.push((index, type_of(weight)?));
            input.wide |= out == plan.logits;
        }
        if let Some(value) = changed(step) {
            let fresh = Version { readers: Vec::new(), wide: matches!(step, Step::GatedAct { .. }) };
            std::mem::replace(&mut versions[value.0 as usize], fresh).close(&mut forms);
        }
    }
    versions.into_iter().for_each(|version| version.close(&mut forms));
    Ok(forms)
}

impl Version {
    /// Tells the readers what they read together.
    fn close(self, forms: &mut [Forms]) {
        let types: Vec<GgmlType> = self.readers.iter().map(|(_, ty)| *ty).collect();
        for (index, _) in self.readers {
            forms[index] = Forms::of(&types).with_wide(self.wide);
        }
    }
}

/// The value that a step writes.
fn changed(step: &Step) -> Option<ValueId> {
    match *step {
        Step::Embed { out, .. }
        | Step::RmsNorm { out, .. }
        | Step::MatMul { out, .. }
        | Step::Attention { out, .. } => Some(out),
        Step::Rope { x, .. }
        | Step::Add { x, .. }
        | Step::Scale { x, .. }
        | Step::SoftCap { x, .. }
        | Step::SelectLogits { x } => Some(x),
        Step::GatedAct { gate, .. } => Some(gate),
        // Other steps write to the KV cache, or are refused when they are run.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use turbo_backend::plan::{Activation, Value};

    use super::*;

    const NORM: ValueId = ValueId(0);
    const GATE: ValueId = ValueId(1);
    const UP: ValueId = ValueId(2);
    const LOGITS: ValueId = ValueId(3);

    /// Weight 0 is q4_K, weight 1 is f16.
    fn product(x: ValueId, weight: u32, out: ValueId) -> Step {
        Step::MatMul { x, weight: WeightId(weight), bias: None, out }
    }

    fn plan(steps: Vec<Step>) -> Plan {
        Plan {
            architecture: "test".into(),
            n_layers: 1,
            d_model: 256,
            n_vocab: 256,
            context_length: 256,
            values: vec![Value { name: "value".into(), width: 256 }; 4],
            weights: Vec::new(),
            kv: Vec::new(),
            key_bias: Vec::new(),
            ropes: Vec::new(),
            steps,
            layer_starts: vec![0],
            logits: LOGITS,
        }
    }

    #[test]
    fn each_input_has_the_forms_of_its_readers() {
        let norm = || Step::RmsNorm { x: UP, weight: WeightId(1), out: NORM, eps: 1e-6 };
        let steps = vec![
            norm(),
            product(NORM, 0, GATE),
            product(NORM, 1, UP),
            Step::GatedAct { gate: GATE, up: UP, activation: Activation::Silu },
            product(GATE, 0, UP),
            norm(),
            product(NORM, 0, GATE),
            norm(),
            product(NORM, 0, LOGITS),
        ];
        let types = |id: WeightId| Ok(if id.0 == 0 { GgmlType::Q4_K } else { GgmlType::F16 });
        let narrow = Forms { float: false, int8: true, wide: false };
        let (both, wide) = (Forms { float: true, ..narrow }, Forms { wide: true, ..narrow });
        let none = Forms::default();
        let want = [none, both, both, none, wide, none, narrow, none, wide];
        assert_eq!(forms(&plan(steps), types).unwrap(), want);
    }

    #[test]
    fn a_weight_that_cannot_be_read_is_an_error() {
        let error = |_| Err(BackendError::InvalidBatch("no weight".into()));
        assert!(forms(&plan(vec![product(NORM, 0, GATE)]), error).is_err());
    }
}
