//! `matmul/tiles` against its twin.

use turbo_cpu::matmul::tiles::tiles;
use turbo_gpu::matmul::{Codes, TilesInput};
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

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
                let got = problem.on_gpu(gpu, variant, TilesInput::Codes(&codes, wide), wide, |recorder| {
                    codes.record(recorder, problem.from.bind(), values, wide)
                })?;
                let twin = |bias: Option<&[f32]>| tiles(problem.weights(), &problem.x, problem.tokens, wide, bias);
                tally.compare_doubles(&got, &problem.wanted(wide, |bias| doubles(&twin(bias))), problem.rows);
            }
        }
        Ok(())
    }
}
