//! `ops/quantise` against its twin.

use turbo_cpu::ops::quantise::quantise;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::codes_of;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/quantise`.
pub(crate) struct Quantise;

impl Parity for Quantise {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::quantise::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (n, wide) in [(32, false), (4096, false), (64, true), (70_400, true)] {
            let mut x = Inputs::new(n as u64).normals(n);
            // A unit of zeros, and one too small for a scale.
            x[..32].iter_mut().for_each(|x| *x *= if n == 4096 { 0.0 } else { 1e-32 });
            let from = gpu.upload("x", &x)?;
            let codes = codes_of(gpu, variant, n)?;
            let mut recorder = gpu.recorder("quantise");
            codes.record(&mut recorder, from.bind(), n, wide)?;
            recorder.submit()?;
            let got = codes.values(gpu, n, wide)?;
            if n > 64 {
                tally.compare_values(&got, &quantise(&x, wide), 32);
            }
        }
        Ok(())
    }
}
