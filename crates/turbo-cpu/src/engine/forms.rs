//! In which forms the products of a plan take their inputs, decided when the plan is loaded.

use turbo_backend::BackendError;
use turbo_backend::plan::{Plan, Step, WeightId};
use turbo_gguf::GgmlType;

use crate::matmul::Forms;

/// The forms of the input of every product, by step: those that all products of one input need, in 16 bits where
/// [`Plan::wide_inputs`] says so.
pub(super) fn forms(
    plan: &Plan,
    type_of: impl Fn(WeightId) -> Result<GgmlType, BackendError>,
) -> Result<Vec<Forms>, BackendError> {
    let wide = plan.wide_inputs();
    let mut forms = vec![Forms::default(); plan.steps.len()];
    // Of every value, since it was written: the products that read it.
    let mut readers: Vec<Vec<(usize, GgmlType)>> = vec![Vec::new(); plan.values.len()];
    let mut close = |readers: Vec<(usize, GgmlType)>| {
        let types: Vec<GgmlType> = readers.iter().map(|(_, ty)| *ty).collect();
        for (index, _) in readers {
            forms[index] = Forms::of(&types).with_wide(wide[index]);
        }
    };
    for (index, step) in plan.steps.iter().enumerate() {
        if let Step::MatMul { x, weight, .. } = *step {
            readers[x.0 as usize].push((index, type_of(weight)?));
        }
        if let Some(value) = step.written() {
            close(std::mem::take(&mut readers[value.0 as usize]));
        }
    }
    readers.into_iter().for_each(close);
    Ok(forms)
}

#[cfg(test)]
mod tests {
    use turbo_backend::plan::{Activation, Value, ValueId};

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
            values: vec![Value { name: "value".into(), width: 1024 }; 4],
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
