//! `ops/scale` against its twin.

use turbo_cpu::ops::scale::scale;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/scale`.
pub(crate) struct Scale;

impl Parity for Scale {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::scale::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (n, factor) in [(1, 1.0), (63, 30.0), (4097, 50.0), (70_000, 5.0)] {
            let mut x: Vec<f32> = Inputs::new(n as u64).normals(n).iter().map(|x| 40.0 * x).collect();
            let to = gpu.upload("x", &x)?;
            let mut recorder = gpu.recorder("scale");
            ops::scale(&mut recorder, to.bind(), factor, n as u32)?;
            recorder.submit()?;
            scale(&mut x, factor);
            tally.compare_values(&gpu.download(&to, 0..n)?, &x, n);
        }
        Ok(())
    }
}
