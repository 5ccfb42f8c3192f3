//! `ops/gated_codes` against its twin.

use turbo_backend::plan::Activation;
use turbo_cpu::ops::gated_codes::gated_codes;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::codes_of;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/gated_codes`.
pub(crate) struct GatedCodes;

impl Parity for GatedCodes {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::gated_codes::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let activation = if variant.name.starts_with("silu") { Activation::Silu } else { Activation::GeluTanh };
        for (n, wide) in [(32, true), (4096, false), (17_408, true)] {
            let mut inputs = Inputs::new(n as u64);
            let (gate, up) = (inputs.normals(n), inputs.normals(n));
            let (from, other) = (gpu.upload("gate", &gate)?, gpu.upload("up", &up)?);
            let codes = codes_of(gpu, variant, n)?;
            let mut recorder = gpu.recorder("gated_codes");
            codes.record_gated(&mut recorder, activation, (from.bind(), other.bind()), n, wide)?;
            recorder.submit()?;
            let got = codes.values(gpu, n, wide)?;
            tally.compare_values(&got, &gated_codes(activation, &gate, &up, wide), n);
        }
        Ok(())
    }
}
