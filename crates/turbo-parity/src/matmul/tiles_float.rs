//! `matmul/tiles_float` against its twin.

use turbo_cpu::matmul::tiles_float::tiles_float;
use turbo_gpu::matmul::TilesInput;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::problem::{Problem, doubles, type_of};
use crate::{Effort, Parity, Tally};

/// The cases of `matmul/tiles_float`.
pub(crate) struct TilesFloat;

impl Parity for TilesFloat {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::tiles_float::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let Some(ty) = type_of(variant) else { return Ok(()) };
        for problem in Problem::all(gpu, ty, effort) {
            let problem = problem?;
            for add in [false, true] {
                let input = TilesInput::Float(problem.from.bind());
                let got = problem.on_gpu(gpu, variant, input, add, |_| Ok(()))?;
                let twin = |bias: Option<&[f32]>| tiles_float(problem.weights(), &problem.x, problem.tokens, bias);
                tally.compare_doubles(&got, &problem.wanted(add, |bias| doubles(&twin(bias))), problem.rows);
            }
        }
        Ok(())
    }
}
