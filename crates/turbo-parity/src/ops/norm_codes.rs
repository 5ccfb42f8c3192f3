//! `ops/norm_codes` against its twin.

use turbo_cpu::ops::norm_codes::norm_codes;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::codes_of;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/norm_codes`.
pub(crate) struct NormCodes;

impl Parity for NormCodes {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::norm_codes::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (runs, cols, wide) in [(1, 32, false), (3, 256, true), (2, 5120, false), (1, 8224, true)] {
            let mut inputs = Inputs::new(cols as u64);
            let (x, weight) = (inputs.normals(runs * cols), inputs.normals(cols));
            let (from, factors) = (gpu.upload("x", &x)?, gpu.upload("weight", &weight)?);
            let codes = codes_of(gpu, variant, runs * cols)?;
            let mut recorder = gpu.recorder("norm_codes");
            let (binds, shape) = ((from.bind(), factors.bind()), (runs as u32, cols as u32));
            codes.record_normed(&mut recorder, binds, shape, wide)?;
            recorder.submit()?;
            let got = codes.values(gpu, runs * cols, wide)?;
            let (want, squares) = norm_codes(&x, &weight, wide);
            tally.compare_values(&got, &want, cols);
            tally.compare_values(&codes.squares(gpu, runs * cols)?, &squares, cols / 32);
        }
        Ok(())
    }
}
