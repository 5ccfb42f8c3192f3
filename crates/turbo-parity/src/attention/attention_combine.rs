//! `attention/attention_combine` against its twin.

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::compare::{compare, named};
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_combine`, with turbo4 keys.
pub(crate) struct Combine;

impl Parity for Combine {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_combine::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let v = named(variant, "v_").unwrap_or(KvType::Turbo4);
        compare(gpu, (KvType::Turbo4, v), variant, effort, tally, |combine, chosen| Variants { combine, ..chosen })
    }
}
