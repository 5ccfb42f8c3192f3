//! `matmul/matvec_joined` against its twin.

use turbo_cpu::matmul::matvec_joined::matvec_joined;
use turbo_gpu::matmul::Joined;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::few::{EPS, Few, is_extra};
use crate::{Effort, Parity, Tally};

/// The cases of `matmul/matvec_joined`.
pub(crate) struct MatVecJoined;

impl Parity for MatVecJoined {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::matvec_joined::KERNEL
    }

    fn is_extra(&self, variant: &Variant) -> bool {
        is_extra(variant)
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for few in Few::all(gpu, variant, effort) {
            let mut few = few?;
            // One of them ends within a workgroup.
            let sizes = [few.rows, few.rows / 2 + 3, 1];
            let matrices = sizes.map(|rows| few.matrix(gpu, rows, usize::MAX));
            let [first, second, third] = matrices;
            let matrices = [first?, second?, third?];
            for count in [2, 3] {
                let outs = sizes.map(|rows| gpu.buffer::<f32>("out", few.tokens * rows));
                let [first, second, third] = outs;
                let outs = [first?, second?, third?];
                let products: Vec<_> =
                    matrices[..count].iter().zip(&outs).map(|(both, out)| (&both.matrix, out.bind())).collect();
                let mut recorder = gpu.recorder("matvec_joined");
                few.record(gpu, &mut recorder, (false, true))?;
                let input = few.codes.input(false).normed(EPS);
                let call = Joined { products: &products, input, tokens: few.tokens as u32 };
                call.record_with(&mut recorder, variant)?;
                recorder.submit()?;
                let twins: Vec<_> = matrices[..count].iter().map(super::few::Both::twin).collect();
                let want = matvec_joined(&twins, &few.x, &few.x, EPS);
                for (out, want) in outs.iter().zip(want) {
                    tally.compare_values(&gpu.download(out, 0..want.len())?, &want, want.len());
                }
            }
        }
        Ok(())
    }
}
