//! `matmul/matvec_residual` against its twin.

use turbo_cpu::matmul::matvec_residual::matvec_residual;
use turbo_gpu::matmul::{Codes, Residual};
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::few::{Few, is_extra};
use crate::{Effort, Parity, Tally};

/// The cases of `matmul/matvec_residual`.
pub(crate) struct MatVecResidual;

impl Parity for MatVecResidual {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::matvec_residual::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        is_extra(variant)
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for few in Few::all(gpu, variant, effort) {
            let mut few = few?;
            let (rows, tokens) = (few.rows, few.tokens);
            let both = few.matrix(gpu, rows, 64)?;
            let (before, weight) = (few.inputs.normals(tokens * rows), few.inputs.normals(rows));
            let factors = gpu.upload("weight", &weight)?;
            for wide in [(false, true), (true, false)] {
                let x = gpu.upload("x", &before)?;
                let next = Codes::new(gpu, tokens * rows)?;
                let mut recorder = gpu.recorder("matvec_residual");
                few.record(gpu, &mut recorder, (wide.0, false))?;
                Residual {
                    matrix: &both.matrix,
                    input: few.codes.input(wide.0),
                    tokens: tokens as u32,
                    x: x.bind(),
                    weight: factors.bind(),
                    next: &next,
                    next_wide: wide.1,
                }
                .record_with(&mut recorder, variant)?;
                recorder.submit()?;
                let want = matvec_residual(both.twin(), &few.x, &before, &weight, wide);
                tally.compare_values(&gpu.download(&x, 0..tokens * rows)?, &want.x, rows);
                tally.compare_values(&next.values(gpu, tokens * rows, wide.1)?, &want.codes, rows);
                tally.compare_values(&next.squares(gpu, tokens * rows)?, &want.squares, rows / 32);
            }
        }
        Ok(())
    }
}
