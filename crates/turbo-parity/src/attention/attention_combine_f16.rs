//! `attention/attention_combine_f16` against its twin.

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::compare::compare;
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_combine_f16`, with turbo4 keys.
pub(crate) struct CombineF16;

impl Parity for CombineF16 {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_combine_f16::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        compare(gpu, (KvType::Turbo4, KvType::F16), variant, effort, tally, |combine, chosen| Variants {
            combine,
            ..chosen
        })
    }
}
