//! `matmul/matvec` against its twin.

use turbo_cpu::matmul::WeightRef;
use turbo_cpu::matmul::matvec::{matvec, matvec_normed};
use turbo_gpu::matmul::{Codes, Input, MatVec};
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::problem::{coded, tokens_of, type_of};
use super::weights::weights;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `matmul/matvec`.
pub(crate) struct MatVecs;

/// Rows and units of 32 columns; types with blocks of 256 take the next multiple of 8 units.
const SHAPES: [(usize, usize); 6] = [(1, 1), (3, 3), (5, 8), (33, 17), (64, 64), (130, 160)];

/// What the norms add.
const EPS: f32 = 1e-6;

impl Parity for MatVecs {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::matvec::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        // How lanes share a row is the same for all types.
        !variant.name.starts_with("q4_K") && !variant.name.ends_with("l32")
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let Some(ty) = type_of(variant) else { return Ok(()) };
        let most = tokens_of(variant);
        for (rows, units) in SHAPES {
            let cols = (units * 32).next_multiple_of(ty.block_values());
            for tokens in effort.of([1, most + 1], [most, 2 * most + 1]) {
                let mut inputs = Inputs::new((rows * 1000 + cols + tokens) as u64);
                let bytes = weights(ty, rows * cols, &mut inputs);
                let x = coded(tokens * cols, &mut inputs);
                let (bias, before) = (inputs.normals(rows), inputs.normals(tokens * rows));
                let matrix = Matrix::load(gpu, "w", ty, (rows, cols), &bytes, &mut |_| {})?;
                let (codes, ones) = (Codes::new(gpu, tokens * cols)?, gpu.upload("ones", &vec![1.0_f32; cols])?);
                for (wide, normed) in [(true, false), (false, true)] {
                    let (from, out) = (gpu.upload("x", &x)?, gpu.upload("out", &before)?);
                    let with_bias = gpu.upload("bias", &bias)?;
                    let mut recorder = gpu.recorder("matvec");
                    let mut input = codes.input(wide);
                    if normed {
                        let (binds, shape) = ((from.bind(), ones.bind()), (tokens as u32, cols as u32));
                        codes.record_normed(&mut recorder, binds, shape, wide)?;
                        input = input.normed(EPS);
                    } else {
                        codes.record(&mut recorder, from.bind(), tokens * cols, wide)?;
                    }
                    let call = MatVec {
                        matrix: &matrix,
                        input: Input::Codes(input),
                        tokens: tokens as u32,
                        bias: Some(with_bias.bind()),
                        add: wide,
                        out: out.bind(),
                        out_row: rows as u32,
                    };
                    call.record_with(&mut recorder, variant)?;
                    recorder.submit()?;
                    let got = gpu.download(&out, 0..tokens * rows)?;
                    let w = WeightRef { ty, rows, cols, data: &bytes };
                    let mut want = if normed {
                        let mut want = matvec_normed(w, &x, wide, &x, EPS);
                        want.iter_mut().zip(bias.iter().cycle()).for_each(|(want, bias)| *want += bias);
                        want
                    } else {
                        matvec(w, &x, tokens, wide, Some(&bias))
                    };
                    if wide {
                        want.iter_mut().zip(&before).for_each(|(want, before)| *want += before);
                    }
                    tally.compare_values(&got, &want, rows);
                }
            }
        }
        Ok(())
    }
}
