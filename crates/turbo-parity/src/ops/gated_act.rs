//! `ops/gated_act` against its twin.

use turbo_backend::plan::Activation;
use turbo_cpu::ops::gated;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/gated_act`.
pub(crate) struct GatedAct;

impl Parity for GatedAct {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::gated_act::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let activation = if variant.name == "silu" { Activation::Silu } else { Activation::GeluTanh };
        for (n, scale) in [(1, 1.0), (63, 10.0), (4097, 3.0), (70_000, 100.0)] {
            let mut inputs = Inputs::new(n as u64);
            let mut gate: Vec<f32> = inputs.normals(n).iter().map(|x| scale * x).collect();
            let up = inputs.normals(n);
            let (to, from) = (gpu.upload("gate", &gate)?, gpu.upload("up", &up)?);
            let mut recorder = gpu.recorder("gated_act");
            ops::gated_act(&mut recorder, activation, to.bind(), from.bind(), n as u32)?;
            recorder.submit()?;
            gated(activation, &mut gate, &up);
            tally.compare_values(&gpu.download(&to, 0..n)?, &gate, n);
        }
        Ok(())
    }
}
