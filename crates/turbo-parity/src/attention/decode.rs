//! Attention of few query tokens against its twin, through every kernel that takes part.

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::problem::named;
use super::{Case, Problem};
use crate::{Effort, Parity, Tally};

/// The cases of `attention/attention_decode` and the kernels after it.
pub(crate) enum Decode {
    Coded,
    F16,
    Combine,
    CombineF16,
}

impl Parity for Decode {
    fn kernel(&self) -> &'static Kernel {
        match self {
            Self::Coded => &attention::attention_decode::KERNEL,
            Self::F16 => &attention::attention_decode_f16::KERNEL,
            Self::Combine => &attention::attention_combine::KERNEL,
            Self::CombineF16 => &attention::attention_combine_f16::KERNEL,
        }
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let k = named(variant.name, "k_").unwrap_or(KvType::Turbo4);
        let v = named(variant.name, "v_").unwrap_or(KvType::F16);
        for mut case in Case::all(k, v, effort) {
            if variant.name.contains("h128") {
                case.head_dim = (128, 128);
            }
            let Some(problem) = Problem::new(&case) else { continue };
            let mut variants = problem.variants(gpu)?;
            match self {
                Self::Coded | Self::F16 => variants = Variants { decode: variant, ..variants },
                Self::Combine | Self::CombineF16 => variants = Variants { combine: variant, ..variants },
            }
            let got = problem.on_gpu(gpu, &variants)?;
            let want = problem.of_twin();
            if k.is_coded() && v.is_coded() {
                let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                tally.compare_bits(&case.to_string(), &bits(&got), &bits(&want), case.head_dim.1);
            } else {
                tally.cases += 1;
                tally.vectors += problem.rows() as u64;
                tally.add_error(&got, &want.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
            }
        }
        Ok(())
    }
}
