//! `matmul/matvec_gated` against its twin.

use turbo_backend::plan::Activation;
use turbo_cpu::matmul::matvec_gated::matvec_gated;
use turbo_gpu::matmul::{Codes, Gated};
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::few::{EPS, Few, is_extra};
use crate::{Effort, Parity, Tally};

/// The cases of `matmul/matvec_gated`.
pub(crate) struct MatVecGated;

impl Parity for MatVecGated {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::matvec_gated::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        // The activation is the same for all types.
        is_extra(variant) || !variant.name.starts_with("q4_K") && variant.name.contains("gelu")
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let activation = if variant.name.contains("silu") { Activation::Silu } else { Activation::GeluTanh };
        for few in Few::all(gpu, variant, effort) {
            let mut few = few?;
            let (rows, tokens) = (few.rows, few.tokens);
            let (gate, up) = (few.matrix(gpu, rows, 64)?, few.matrix(gpu, rows, 64)?);
            for (normed, next_wide) in [(true, true), (false, false)] {
                let next = Codes::new(gpu, tokens * rows)?;
                let mut recorder = gpu.recorder("matvec_gated");
                few.record(gpu, &mut recorder, (false, normed))?;
                let input = few.codes.input(false);
                Gated {
                    gate: &gate.matrix,
                    up: &up.matrix,
                    activation,
                    input: if normed { input.normed(EPS) } else { input },
                    tokens: tokens as u32,
                    next: &next,
                    next_wide,
                }
                .record_with(&mut recorder, variant)?;
                recorder.submit()?;
                // Without a norm, its factor is one.
                let unnormed = if normed { few.x.clone() } else { vec![1.0; few.x.len()] };
                let eps = if normed { EPS } else { 0.0 };
                let matrices = [gate.twin(), up.twin()];
                let want = matvec_gated(activation, matrices, &few.x, (&unnormed, eps), next_wide);
                tally.compare_values(&next.values(gpu, tokens * rows, next_wide)?, &want, rows);
            }
        }
        Ok(())
    }
}
