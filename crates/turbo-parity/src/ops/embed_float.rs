//! `ops/embed_float` against its twin.

use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::embed::compare;
use crate::{Effort, Parity, Tally};

/// The cases of `ops/embed_float`.
pub(crate) struct EmbedFloat;

impl Parity for EmbedFloat {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::embed_float::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        compare(gpu, variant, tally)
    }
}
