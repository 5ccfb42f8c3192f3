//! `kv/kv_encode_f16` against its twin.

use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::kv_encode::compare;
use crate::{Effort, Parity, Tally};

/// The cases of `kv/kv_encode_f16`.
pub(crate) struct EncodeF16;

impl Parity for EncodeF16 {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::kv::kv_encode_f16::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        compare(gpu, variant, effort, tally)
    }
}
