//! Proof that the GPU kernels and their CPU twins agree, on whatever device there is.
//!
//! Every kernel has one file here with the cases it is tried on; [`run`] tries all its variants and compares. The
//! command `turbo-wgpu parity` and the tests run the same cases.

pub mod attention;
mod bench;
mod inputs;
mod kv;
mod matmul;
mod ops;
mod report;
mod sampling;

pub use inputs::Inputs;
pub use report::{Outcome, Row, Tally, Verdict};

use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Every shape with few vectors. On a software adapter without the variants that [`Parity::is_extra`] names: a
    /// few minutes.
    Quick,
    /// Every shape with at least 100,000 vectors per variant of an encoder, and over 2,000 different cases of attention
    /// over coded types.
    Full,
}

impl Effort {
    /// `quick` or `full`, whichever is asked for.
    pub const fn of<T: Copy>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// The cases of one kernel.
pub trait Parity: Sync {
    /// The kernel.
    fn kernel(&self) -> &'static Kernel;

    /// Whether [`Effort::Quick`] leaves `variant` out on software adapters, where compiling one takes seconds.
    fn is_extra(&self, variant: &Variant) -> bool {
        let _ = variant;
        false
    }

    /// Tries `variant` on `gpu` and counts what differs from the twin.
    ///
    /// # Errors
    /// A failing device.
    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError>;
}

/// One entry for every kernel, in the order of [`turbo_wgsl::KERNELS`].
pub static ALL: &[&dyn Parity] = &[
    &attention::attention_combine::Combine,
    &attention::attention_combine_codes::CombineCodes,
    &attention::attention_combine_f16::CombineF16,
    &attention::attention_decode::Decode,
    &attention::attention_decode_f16::DecodeF16,
    &attention::attention_prefill::Prefill,
    &attention::attention_prefill_f16::PrefillF16,
    &attention::attention_short::Short,
    &attention::key_bias::Bias,
    &attention::query_codes::Codes,
    &attention::query_codes_roped::CodesRoped,
    &bench::stream::Stream,
    &kv::kv_decode::Decode,
    &kv::kv_decode_f16::DecodeF16,
    &kv::kv_encode::Encode,
    &kv::kv_encode_f16::EncodeF16,
    &kv::kv_encode_roped::EncodeRoped,
    &kv::rotate::Rotate,
    &matmul::halves::HalvesCases,
    &matmul::matvec::MatVecs,
    &matmul::matvec_float::MatVecFloats,
    &matmul::matvec_gated::MatVecGated,
    &matmul::matvec_joined::MatVecJoined,
    &matmul::matvec_residual::MatVecResidual,
    &matmul::tiles::Tiles,
    &matmul::tiles_float::TilesFloat,
    &matmul::tiles_half::TilesHalf,
    &ops::add_scaled::AddScaled,
    &ops::embed::Embed,
    &ops::embed_float::EmbedFloat,
    &ops::gated_act::GatedAct,
    &ops::gated_codes::GatedCodes,
    &ops::norm_codes::NormCodes,
    &ops::norm_rope::NormRope,
    &ops::quantise::Quantise,
    &ops::rms_norm::RmsNorm,
    &ops::rms_norm_in_place::RmsNormInPlace,
    &ops::rope::Rope,
    &ops::scale::Scale,
    &ops::select_rows::SelectRows,
    &ops::soft_cap::SoftCap,
    &sampling::choose::Choose,
    &sampling::chunk_maxima::ChunkMaxima,
];

/// Why a row has no result although the device could run it.
const SOFTWARE: &str = "not run on a software adapter with quick effort";

/// Labels of what [`run`] tries with this `filter`, in its order.
pub fn labels(filter: Option<&str>) -> Vec<&'static str> {
    chosen(filter).map(|(_, variant)| variant.label).collect()
}

/// Every variant of every kernel, or those whose `family/kernel[variant]` contains `filter`.
fn chosen(filter: Option<&str>) -> impl Iterator<Item = (&'static dyn Parity, &'static Variant)> {
    let all = ALL.iter().flat_map(|&parity| parity.kernel().variants.iter().map(move |variant| (parity, variant)));
    all.filter(move |(parity, variant)| {
        filter.is_none_or(|f| format!("{}/{}", parity.kernel().family, variant.label).contains(f))
    })
}

/// Tries every variant of every kernel, or those whose `family/kernel[variant]` contains `filter`; `progress` is told each row.
///
/// What the device fails at is a row that says so, and the next one is tried.
///
/// # Errors
/// A device that is lost, after its last row.
pub fn run(
    gpu: &Gpu,
    effort: Effort,
    filter: Option<&str>,
    mut progress: impl FnMut(&Row),
) -> Result<Vec<Row>, GpuError> {
    let quick_software = effort == Effort::Quick && gpu.description().kind == "software";
    let not_run = |parity: &dyn Parity, variant: &Variant| {
        let extra = quick_software && parity.is_extra(variant);
        gpu.capabilities().unmet(variant).or_else(|| extra.then(|| SOFTWARE.to_owned()))
    };
    let able = chosen(filter).filter(|(parity, variant)| not_run(*parity, variant).is_none());
    let able: Vec<_> = able.map(|(parity, variant)| (parity.kernel(), variant)).collect();
    let mut rows = Vec::new();
    // Drivers take most of the time, for compiling: they do it for later variants meanwhile.
    gpu.compile_meanwhile(&able, || {
        for (parity, variant) in chosen(filter) {
            let started = std::time::Instant::now();
            let mut tally = Tally::default();
            let not_run = not_run(parity, variant);
            let result = if not_run.is_none() { parity.run(gpu, variant, effort, &mut tally) } else { Ok(()) };
            let error = result.as_ref().err().map(ToString::to_string);
            let row = Row::new(parity.kernel(), variant, tally, not_run, error, started.elapsed());
            progress(&row);
            rows.push(row);
            if let Err(lost @ GpuError::Lost { .. }) = result {
                return Err(lost);
            }
        }
        Ok(())
    })?;
    Ok(rows)
}
