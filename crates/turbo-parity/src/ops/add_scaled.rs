//! `ops/add_scaled` against its twin.

use turbo_cpu::ops::add_scaled::add_scaled;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/add_scaled`.
pub(crate) struct AddScaled;

impl Parity for AddScaled {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::add_scaled::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (n, own, other) in [(1, 1.0, 1.0), (63, 0.5, 0.0), (4097, 1.0, -2.0), (70_000, 0.25, 3.0)] {
            let mut inputs = Inputs::new(n as u64);
            let (mut x, y) = (inputs.normals(n), inputs.normals(n));
            let (to, from) = (gpu.upload("x", &x)?, gpu.upload("y", &y)?);
            let mut recorder = gpu.recorder("add_scaled");
            ops::add_scaled(&mut recorder, (to.bind(), own), (from.bind(), other), n as u32)?;
            recorder.submit()?;
            add_scaled(&mut x, own, &y, other);
            tally.compare_values(&gpu.download(&to, 0..n)?, &x, n);
        }
        Ok(())
    }
}
