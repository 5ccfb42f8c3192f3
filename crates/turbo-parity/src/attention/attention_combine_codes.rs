//! `attention/attention_combine_codes` against its twin.

use turbo_cpu::attention::attention_combine_codes::combine_codes;
use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::compare::named;
use super::{Case, Problem};
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_combine_codes`, with turbo4 keys.
pub(crate) struct CombineCodes;

impl Parity for CombineCodes {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_combine_codes::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let v = named(variant, "v_").unwrap_or(KvType::Turbo4);
        let new = |keys| Case::new(KvType::Turbo4, v, keys);
        let long = Case { sequences: vec![(8960, 1), (2, 1)], spread: 12.0, sinks: true, ..new(8960) };
        let cases = [
            (new(1), false),
            (Case { kv_heads: 2, group: 3, ..new(255) }, true),
            (Case { sequences: vec![(700, 1), (33, 3)], group: 2, window: Some(200), sinks: true, ..new(700) }, false),
            (long, false),
        ];
        let other = Case { head_dim: (64, 96), group: 3, ..new(300) };
        let halves = (v == KvType::F16).then_some((other, true));
        for (case, wide) in cases.into_iter().chain(halves) {
            let Some(problem) = Problem::new(&case) else { continue };
            let variants = Variants { coded: Some(variant), short: None, ..problem.variants(gpu)? };
            let got = problem.on_gpu_codes(gpu, &variants, wide)?;
            tally.compare_values(&got, &combine_codes(&problem.of_twin(), wide), case.head_dim.1);
        }
        Ok(())
    }
}
