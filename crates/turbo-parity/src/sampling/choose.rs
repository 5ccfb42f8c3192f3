//! `sampling/choose` against its twin.

use turbo_cpu::sampling::choose::choose;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::{Chosen, choice, row};
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `sampling/choose`.
pub(crate) struct Choose;

impl Parity for Choose {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::sampling::choose::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let shapes: &[(usize, usize)] = effort
            .of(&[(1, 1), (3, 33), (64, 290), (16, 5003)], &[(1, 1), (64, 33), (64, 257), (64, 5003), (32, 151_936)]);
        for &(n, n_vocab) in shapes {
            let mut inputs = Inputs::new((n + n_vocab) as u64);
            let rows = (0..n).map(|kind| row(kind, n_vocab, &mut inputs)).collect();
            // Places in another order than rows.
            let choices = (0..n as u32).rev().map(|place| choice(place, &mut inputs)).collect();
            let got = Chosen::run(gpu, rows, choices)?;
            let twin = |(row, choice): (&Vec<f32>, _)| choose(row, choice).unwrap_or(u32::MAX);
            let want: Vec<u32> = got.rows.iter().zip(&got.choices).map(twin).collect();
            tally.compare_bits(&format!("{n} rows of {n_vocab}"), &got.tokens, &want, 1);
        }
        Ok(())
    }
}
