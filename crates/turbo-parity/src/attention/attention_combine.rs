//! `attention/attention_combine` against its twin.

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::attention_decode::any_head;
use super::compare::{compare, named};
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_combine`, with turbo4 keys.
pub(crate) struct Combine;

impl Parity for Combine {
    fn kernel(&self) -> &'static Kernel {
        &attention::attention_combine::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        variant.name.contains("subgroup") && !["v_turbo4,subgroup", "v_q8_0,subgroup"].contains(&variant.name)
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let v = named(variant, "v_").unwrap_or(KvType::Turbo4);
        // One that is compiled anyway.
        let name = format!("k_{},v_{v},{}", KvType::Turbo4, any_head(KvType::Turbo4, v));
        let decode = attention::attention_decode::KERNEL.variants.iter().find(|decode| decode.name == name);
        compare(gpu, (KvType::Turbo4, v), variant, effort, tally, |combine, chosen| Variants {
            combine,
            decode: decode.unwrap_or(chosen.decode),
            ..chosen
        })
    }
}
