//! `attention/attention_prefill` against its twin.

use turbo_gpu::attention::prefill::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::attention_decode::pair;
use super::{Case, Problem};
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_prefill`.
pub(crate) struct Prefill;

impl Parity for Prefill {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_prefill::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        let (k, v) = pair(variant);
        // Every type on both sides.
        let tried = [
            (KvType::Turbo4, KvType::Turbo4),
            (KvType::Q8_0, KvType::Q8_0),
            (KvType::Turbo3, KvType::Turbo2),
            (KvType::Q4_0, KvType::Turbo3),
            (KvType::Turbo2, KvType::Q4_0),
        ];
        !tried.contains(&(k, v))
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let (k, v) = pair(variant);
        for mut case in cases(variant, (k, v), effort) {
            if variant.name.contains("whole") && effort == Effort::Quick {
                case.head_dim = (128, 128);
            }
            let whole = case.head_dim.0 % 128 == 0 && case.head_dim.1 % 128 == 0;
            if variant.name.contains("whole") && !whole {
                continue;
            }
            let Some(problem) = Problem::new(&case) else { continue };
            let codes = problem.variants(gpu)?.codes;
            let got = problem.on_gpu_prefill(gpu, &Variants { prefill: variant, codes }, None)?;
            let want = problem.of_twin();
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            tally.compare_bits(&case.to_string(), &bits(&got), &bits(&want), case.head_dim.1);
        }
        Ok(())
    }
}

/// Shapes with more rows than those of decode, and these too.
pub(super) fn cases(variant: &Variant, (k, v): (KvType, KvType), effort: Effort) -> Vec<Case> {
    let new = |keys: usize, tokens: usize| Case { sequences: vec![(keys, tokens)], ..Case::new(k, v, keys) };
    let mut cases = vec![
        new(1, 1),
        new(65, 17),
        Case { head_dim: (64, 64), group: 5, spread: 0.2, ..new(300, 7) },
        Case { head_dim: (80, 80), group: 2, soft_cap: Some(30.0), ..new(64, 3) },
        Case { head_dim: (96, 112), kv_heads: 2, group: 3, sinks: true, ..new(255, 6) },
        Case { head_dim: (160, 48), group: 16, spread: 9.0, ..new(70, 2) },
        Case { head_dim: (128, 272), ..new(40, 3) },
    ];
    let sequences = vec![(700, 9), (33, 3), (1, 1)];
    cases.push(Case { sequences, kv_heads: 2, group: 2, window: Some(200), ..new(700, 9) });
    cases.push(Case { group: 4, spread: 12.0, ..new(520, 9) });
    if effort == Effort::Full {
        cases.extend(Case::all(variant, (k, v), effort));
    }
    if effort == Effort::Full && k == v {
        // Many rows: what differs between pairs is seen with few.
        for (i, tokens) in [33_usize, 64, 200, 512].into_iter().enumerate() {
            let group = [5, 1, 8, 3][i];
            cases.push(Case { kv_heads: 2, group, spread: 3.0, ..new(512 + 300 * i, tokens) });
            cases.push(Case { head_dim: (256, 256), group, window: Some(100), sinks: true, ..new(600, tokens) });
        }
    }
    cases
}
