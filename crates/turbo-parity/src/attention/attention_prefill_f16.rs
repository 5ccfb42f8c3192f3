//! `attention/attention_prefill_f16` against its twin.

use turbo_gpu::attention::prefill::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::Problem;
use super::attention_prefill::cases;
use super::compare::named;
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_prefill_f16`.
pub(crate) struct PrefillF16;

impl Parity for PrefillF16 {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_prefill_f16::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        !["k_f16,v_f16", "k_f16,v_turbo4", "k_turbo4,v_f16"].contains(&variant.name)
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let of = |side| named(variant, side).unwrap_or(KvType::F16);
        for case in cases(variant, (of("k_"), of("v_")), effort) {
            let Some(problem) = Problem::new(&case) else { continue };
            let codes = problem.variants(gpu)?.codes;
            let got = problem.on_gpu_prefill(gpu, &Variants { prefill: variant, codes }, None)?;
            tally.cases += 1;
            tally.vectors += problem.rows() as u64;
            let want = problem.of_twin();
            tally.add_error(&got, &want.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        }
        Ok(())
    }
}
