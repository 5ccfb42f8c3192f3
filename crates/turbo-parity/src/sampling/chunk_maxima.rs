//! `sampling/chunk_maxima` against its twin.

use turbo_cpu::sampling::chunk_maxima::{CHUNK, chunk_maxima};
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::{Chosen, choice, row};
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `sampling/chunk_maxima`.
pub(crate) struct ChunkMaxima;

impl Parity for ChunkMaxima {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::sampling::chunk_maxima::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (n, n_vocab) in [(1, 1), (5, 31), (8, 64), (9, 4099)] {
            let mut inputs = Inputs::new(n_vocab as u64);
            let rows = (0..n).map(|kind| row(kind, n_vocab, &mut inputs)).collect();
            let choices = (0..n as u32).map(|place| choice(place, &mut inputs)).collect();
            let got = Chosen::run(gpu, rows, choices)?;
            let want: Vec<u32> = got.rows.iter().flat_map(|row| chunk_maxima(row)).collect();
            tally.compare_bits(&format!("{n} rows of {n_vocab}"), &got.maxima, &want, n_vocab.div_ceil(CHUNK));
        }
        Ok(())
    }
}
