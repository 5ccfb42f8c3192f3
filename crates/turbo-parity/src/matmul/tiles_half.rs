//! `matmul/tiles_half` against its twin.

use turbo_cpu::matmul::tiles_half::tiles_half;
use turbo_gpu::matmul::{Halves, TilesInput};
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::problem::{Problem, type_of};
use crate::{Effort, Parity, Tally};

/// The cases of `matmul/tiles_half`.
pub(crate) struct TilesHalf;

impl Parity for TilesHalf {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::tiles_half::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let Some(ty) = type_of(variant) else { return Ok(()) };
        for problem in Problem::all(gpu, ty, effort) {
            let problem = problem?;
            let size = (problem.tokens, problem.cols);
            let halves = Halves::new(gpu, size.0, size.1)?;
            for add in [false, true] {
                let got = problem.on_gpu(gpu, variant, TilesInput::Halves(&halves), add, |recorder| {
                    halves.record(recorder, problem.from.bind(), size)
                })?;
                let twin = |bias: Option<&[f32]>| tiles_half(problem.weights(), &problem.x, problem.tokens, bias);
                tally.compare_doubles(&got, &problem.wanted(add, twin), problem.rows);
            }
        }
        Ok(())
    }
}
