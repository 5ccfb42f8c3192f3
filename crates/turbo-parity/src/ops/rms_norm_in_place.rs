//! `ops/rms_norm_in_place` against its twin.

use turbo_cpu::ops::rms_norm_in_place::rms_norm_in_place;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use super::rms_norm::shapes;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/rms_norm_in_place`.
pub(crate) struct RmsNormInPlace;

impl Parity for RmsNormInPlace {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::rms_norm_in_place::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for &(runs, cols) in shapes(variant) {
            let mut inputs = Inputs::new(cols as u64);
            let (mut x, weight) = (inputs.normals(runs * cols), inputs.normals(cols));
            let (to, factors) = (gpu.upload("x", &x)?, gpu.upload("weight", &weight)?);
            let mut recorder = gpu.recorder("rms_norm_in_place");
            let shape = (runs as u32, cols as u32);
            ops::rms_norm_in_place(&mut recorder, to.bind(), factors.bind(), shape, 1e-6)?;
            recorder.submit()?;
            rms_norm_in_place(&mut x, &weight, 1e-6);
            tally.compare_values(&gpu.download(&to, 0..runs * cols)?, &x, cols);
        }
        Ok(())
    }
}
