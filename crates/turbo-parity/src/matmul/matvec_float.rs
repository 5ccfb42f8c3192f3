//! `matmul/matvec_float` against its twin.

use turbo_cpu::matmul::WeightRef;
use turbo_cpu::matmul::matvec_float::matvec_float;
use turbo_gpu::matmul::{Input, MatVec};
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::problem::type_of;
use super::weights::weights;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `matmul/matvec_float`.
pub(crate) struct MatVecFloats;

/// Rows and columns.
const SHAPES: [(usize, usize); 5] = [(1, 8), (3, 16), (33, 72), (64, 256), (130, 1024)];

impl Parity for MatVecFloats {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::matvec_float::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let Some(ty) = type_of(variant) else { return Ok(()) };
        let (_, workgroup) = variant.name.split_once(",t").unwrap_or_default();
        let most: usize = workgroup.parse().unwrap_or(1);
        for (rows, cols) in SHAPES {
            for tokens in effort.of([1, most + 1], [most, 2 * most + 1]) {
                let mut inputs = Inputs::new((rows * 1000 + cols + tokens) as u64);
                let bytes = weights(ty, rows * cols, &mut inputs);
                let x = inputs.normals(tokens * cols);
                let before = inputs.normals(tokens * rows);
                let matrix = Matrix::load(gpu, "w", ty, (rows, cols), &bytes, &mut |_| {})?;
                let (from, out) = (gpu.upload("x", &x)?, gpu.upload("out", &before)?);
                let mut recorder = gpu.recorder("matvec_float");
                let call = MatVec {
                    matrix: &matrix,
                    input: Input::Float(from.bind()),
                    tokens: tokens as u32,
                    bias: None,
                    add: true,
                    out: out.bind(),
                    out_row: rows as u32,
                };
                call.record_with(&mut recorder, variant)?;
                recorder.submit()?;
                let got = gpu.download(&out, 0..tokens * rows)?;
                let mut want = matvec_float(WeightRef { ty, rows, cols, data: &bytes }, &x, tokens, None);
                want.iter_mut().zip(&before).for_each(|(want, before)| *want += before);
                tally.compare_values(&got, &want, rows);
            }
        }
        Ok(())
    }
}
