//! `ops/soft_cap` against its twin.

use turbo_cpu::ops::soft_cap;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/soft_cap`.
pub(crate) struct SoftCap;

impl Parity for SoftCap {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::soft_cap::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (n, cap) in [(1, 1.0), (63, 30.0), (4097, 50.0), (70_000, 5.0)] {
            let mut x: Vec<f32> = Inputs::new(n as u64).normals(n).iter().map(|x| 40.0 * x).collect();
            let to = gpu.upload("x", &x)?;
            let mut recorder = gpu.recorder("soft_cap");
            ops::soft_cap(&mut recorder, to.bind(), n as u32, cap)?;
            recorder.submit()?;
            soft_cap(cap, &mut x);
            tally.compare_values(&gpu.download(&to, 0..n)?, &x, n);
        }
        Ok(())
    }
}
