//! `attention/attention_short` against its twin.

use turbo_cpu::attention::attention_short::short_codes;
use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::{Case, Problem};
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_short`.
pub(crate) struct Short;

impl Parity for Short {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_short::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let kv_type: KvType = variant.name.split(',').next().and_then(|name| name.parse().ok()).unwrap_or(KvType::F16);
        let new = |keys| Case::new(kv_type, kv_type, keys);
        let cases = [
            new(1),
            Case { kv_heads: 2, group: 5, sinks: true, ..new(63) },
            Case { group: 4, spread: 12.0, ..new(256) },
            Case { sequences: vec![(200, 3), (33, 1), (256, 2)], group: 3, window: Some(70), ..new(200) },
            Case { kv_heads: 3, group: 7, soft_cap: Some(30.0), ..new(129) },
        ];
        for case in cases {
            let Some(problem) = Problem::new(&case) else { continue };
            let variants = Variants { short: Some(variant), ..problem.variants(gpu)? };
            let got = problem.on_gpu_codes(gpu, &variants, false)?;
            tally.compare_values(&got, &short_codes(&problem.of_twin()), case.head_dim.1);
        }
        Ok(())
    }
}
