//! `ops/rms_norm` against its twin.

use turbo_cpu::ops::rms_norm;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/rms_norm`.
pub(crate) struct RmsNorm;

impl Parity for RmsNorm {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::rms_norm::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for &(runs, cols) in shapes(variant) {
            let mut inputs = Inputs::new(cols as u64);
            let (mut x, weight) = (inputs.normals(runs * cols), inputs.normals(cols));
            let (from, factors) = (gpu.upload("x", &x)?, gpu.upload("weight", &weight)?);
            let out = gpu.buffer::<f32>("out", runs * cols)?;
            let mut recorder = gpu.recorder("rms_norm");
            let binds = [from.bind(), factors.bind(), out.bind()];
            ops::rms_norm(&mut recorder, binds, (runs as u32, cols as u32), 1e-6)?;
            recorder.submit()?;
            rms_norm(&mut x, &weight, 1e-6);
            tally.compare_values(&gpu.download(&out, 0..runs * cols)?, &x, cols);
        }
        Ok(())
    }
}

/// Runs and columns of a size that picks `variant`.
pub(super) fn shapes(variant: &Variant) -> &'static [(usize, usize)] {
    if variant.name == "lanes32" { &[(1, 1), (9, 37), (40, 128), (3, 512)] } else { &[(1, 513), (3, 5120), (2, 8193)] }
}
