//! Attention of few query tokens against its twin, through every kernel that takes part.

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::Variant;

use super::{Case, Problem};
use crate::{Effort, Tally};

/// The type that an option `k_turbo4` or `v_f16` of a variant's name names.
pub(super) fn named(variant: &Variant, side: &str) -> Option<KvType> {
    variant.name.split(',').find_map(|option| option.strip_prefix(side)?.parse().ok())
}

/// Tries `variant`, put among the chosen ones by `put`, on the cases of the pair `k`, `v`: coded pairs to the bit,
/// others by their error against float64.
pub(super) fn compare(
    gpu: &Gpu,
    (k, v): (KvType, KvType),
    variant: &'static Variant,
    effort: Effort,
    tally: &mut Tally,
    put: impl Fn(&'static Variant, Variants) -> Variants,
) -> Result<(), GpuError> {
    for case in Case::all(variant, (k, v), effort) {
        let Some(problem) = Problem::new(&case) else { continue };
        let got = problem.on_gpu(gpu, &put(variant, problem.variants(gpu)?))?;
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
