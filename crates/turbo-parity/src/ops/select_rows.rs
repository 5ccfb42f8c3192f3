//! `ops/select_rows` against its twin.

use turbo_cpu::ops::select_rows::select_rows;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/select_rows`.
pub(crate) struct SelectRows;

impl Parity for SelectRows {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::select_rows::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (n, cols) in [(1, 1), (5, 64), (17, 1001)] {
            let mut inputs = Inputs::new(n as u64);
            let x = inputs.normals(3 * n * cols);
            let rows: Vec<u32> = (0..n).map(|_| inputs.below(3 * n as u32)).collect();
            let (names, from) = (gpu.upload("rows", &rows)?, gpu.upload("x", &x)?);
            let out = gpu.buffer::<f32>("out", n * cols)?;
            let mut recorder = gpu.recorder("select_rows");
            let binds = [names.bind(), from.bind(), out.bind()];
            ops::select_rows(&mut recorder, binds, (n as u32, cols as u32))?;
            recorder.submit()?;
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let (got, want) = (gpu.download(&out, 0..n * cols)?, select_rows(&rows, &x, cols));
            tally.compare_bits(&format!("{n} rows of {cols}"), &bits(&got), &bits(&want), cols);
        }
        Ok(())
    }
}
