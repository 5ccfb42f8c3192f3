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
    let mode = std::env::var("TURBO_WIDE").unwrap_or("down,logits".into());
    for (index, step) in plan.steps.iter().enumerate() {
        if let Step::MatMul { x, weight, out, .. } = *step {
            let input = &mut versions[x.0 as usize];
            input.readers.push((index, type_of(weight)?));
            input.wide |= out == plan.logits && mode.contains("logits") || mode == "all";
        }
        if let Some(value) = changed(step) {
            let fresh = Version { readers: Vec::new(), wide: matches!(step, Step::GatedAct { .. }) && mode.contains("down") };
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
        Step::Embed { out, .. } | Step::RmsNorm { out, .. } | Step::MatMul { out, .. } | Step::Attention { out, .. } => {
            Some(out)
        }
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
