//! `ops/embed` against its twin.

use turbo_backend::chosen_at;
use turbo_cpu::ops::embed::embed;
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::matmul::problem::type_of;
use crate::matmul::weights::weights;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/embed`.
pub(crate) struct Embed;

impl Parity for Embed {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::embed::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        compare(gpu, variant, tally)
    }
}

/// Tries the type that `variant` is for; the call picks the kernel by it, and the twins are one function.
pub(super) fn compare(gpu: &Gpu, variant: &'static Variant, tally: &mut Tally) -> Result<(), GpuError> {
    let Some(ty) = type_of(variant) else { return Ok(()) };
    for (tokens, cols, scale) in [(1, 256, 1.0), (5, 512, 11.3), (33, 1024, 0.5)] {
        let mut inputs = Inputs::new(cols as u64);
        let rows = 71;
        let bytes = weights(ty, rows * cols, &mut inputs);
        let names: Vec<u32> = (0..tokens).map(|_| inputs.below(rows as u32)).collect();
        // Every third stands in its place among the chosen ones.
        let named = |(at, &token): (usize, &u32)| if at % 3 == 2 { chosen_at(at as u32) } else { token };
        let tokens_or_places: Vec<u32> = names.iter().enumerate().map(named).collect();
        let table = Matrix::load(gpu, "table", ty, (rows, cols), &bytes, &mut |_| {})?;
        let (ids, chosen) = (gpu.upload("tokens", &tokens_or_places)?, gpu.upload("chosen", &names)?);
        let out = gpu.buffer::<f32>("out", tokens * cols)?;
        let mut recorder = gpu.recorder("embed");
        ops::embed(&mut recorder, &table, (ids.bind(), tokens as u32), chosen.bind(), scale, out.bind())?;
        recorder.submit()?;
        let mut want = vec![0.0; tokens * cols];
        for (row, &token) in want.chunks_exact_mut(cols).zip(&names) {
            embed(ty, &bytes, token, scale, row)
                .map_err(|e| GpuError::Call { kernel: "embed".to_owned(), reason: e.to_string() })?;
        }
        tally.compare_values(&gpu.download(&out, 0..tokens * cols)?, &want, cols);
    }
    Ok(())
}
