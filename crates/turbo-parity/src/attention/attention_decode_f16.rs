//! `attention/attention_decode_f16` against its twin.

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::compare::{compare, named};
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_decode_f16`.
pub(crate) struct DecodeF16;

impl Parity for DecodeF16 {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_decode_f16::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        !["k_f16,v_f16", "k_f16,v_turbo4", "k_turbo4,v_f16"].contains(&variant.name)
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let of = |side| named(variant, side).unwrap_or(KvType::F16);
        compare(gpu, (of("k_"), of("v_")), variant, effort, tally, |decode, chosen| Variants { decode, ..chosen })
    }
}
