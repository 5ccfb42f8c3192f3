//! `attention/attention_decode` against its twin.

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::compare::{compare, named};
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_decode`.
pub(crate) struct Decode;

impl Parity for Decode {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_decode::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        let (k, v) = pair(variant);
        let large = match (k, v) {
            (KvType::Turbo4, KvType::Turbo4) => "h128,r4,subgroup",
            (KvType::Q8_0, KvType::Turbo3) => "h128,r5,subgroup",
            _ => any_head(k, v),
        };
        ![any_head(k, v), large].iter().any(|options| variant.name == format!("k_{k},v_{v},{options}"))
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        compare(gpu, pair(variant), variant, effort, tally, |decode, chosen| Variants { decode, ..chosen })
    }
}

/// The options of the variant for heads of any size that is tried everywhere.
pub(super) fn any_head(k: KvType, v: KvType) -> &'static str {
    if (k as usize + v as usize).is_multiple_of(2) { "r4" } else { "r1" }
}

/// The types of K and V of a variant.
pub(super) fn pair(variant: &Variant) -> (KvType, KvType) {
    let of = |side| named(variant, side).unwrap_or(KvType::Turbo4);
    (of("k_"), of("v_"))
}
