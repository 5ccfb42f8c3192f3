//! `matmul/tiles` against its twin.

use turbo_cpu::matmul::matvec::matvec_normed;
use turbo_cpu::matmul::tiles::tiles;
use turbo_gpu::matmul::{Codes, TilesInput};
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::few::EPS;
use super::problem::{Problem, doubles, type_of};
use crate::{Effort, Parity, Tally};

/// The cases of `matmul/tiles`.
pub(crate) struct Tiles;

impl Parity for Tiles {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::tiles::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let Some(ty) = type_of(variant) else { return Ok(()) };
        for problem in Problem::all(gpu, ty, effort) {
            let problem = problem?;
            let values = problem.tokens * problem.cols;
            let codes = Codes::new(gpu, values)?;
            for wide in [false, true] {
                let got = problem.on_gpu(gpu, variant, TilesInput::Codes(codes.input(wide)), wide, |recorder| {
                    codes.record(recorder, problem.from.bind(), values, wide)
                })?;
                let twin = |bias: Option<&[f32]>| tiles(problem.weights(), &problem.x, problem.tokens, wide, bias);
                tally.compare_doubles(&got, &problem.wanted(wide, |bias| doubles(&twin(bias))), problem.rows);
            }
            let ones = gpu.upload("ones", &vec![1.0_f32; problem.cols])?;
            let input = TilesInput::Codes(codes.input(false).normed(EPS));
            let got = problem.on_gpu(gpu, variant, input, true, |recorder| {
                let shape = (problem.tokens as u32, problem.cols as u32);
                codes.record_normed(recorder, (problem.from.bind(), ones.bind()), shape, false)
            })?;
            let twin = |_: Option<&[f32]>| matvec_normed(problem.weights(), &problem.x, false, &problem.x, EPS);
            tally.compare_doubles(&got, &problem.wanted(true, |bias| doubles(&twin(bias))), problem.rows);
        }
        Ok(())
    }
}
