//! `matmul/halves` against its twin.

use turbo_cpu::matmul::halves::halves;
use turbo_gpu::matmul::Halves;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::turbo::exact::f32_from_f16;
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `matmul/halves`.
pub(crate) struct HalvesCases;

impl Parity for HalvesCases {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::matmul::halves::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (tokens, cols) in [(1, 4), (3, 64), (5, 100), (48, 320), (2, 17_408)] {
            let x = Inputs::new((tokens * cols) as u64).any(tokens, cols);
            let made = Halves::new(gpu, tokens, cols)?;
            let from = gpu.upload("x", &x)?;
            let mut recorder = gpu.recorder("halves");
            made.record(&mut recorder, from.bind(), (tokens, cols))?;
            recorder.submit()?;
            let (words, scales) = made.download(gpu, tokens, cols)?;
            let (want, want_scales) = halves(&x, cols);
            // A nan is as good as another.
            let known = |scales: &[f32]| scales.iter().map(|s| if s.is_nan() { -1.0 } else { 1.0 }).collect::<Vec<_>>();
            tally.compare_values(&known(&scales), &known(&want_scales), 1);
            for token in (0..tokens).filter(|&token| !want_scales[token].is_nan()) {
                let ratio = scales[token] / want_scales[token];
                let row = &words[token * words.len() / tokens..][..words.len() / tokens];
                let all: Vec<f32> =
                    row.iter().flat_map(|w| [*w as u16, (w >> 16) as u16]).map(|h| f32_from_f16(h) * ratio).collect();
                let mut expected: Vec<f32> = want[token * cols..][..cols].iter().map(|h| h.to_f32()).collect();
                expected.resize(all.len(), 0.0);
                tally.compare_values(&all, &expected, expected.len());
            }
        }
        Ok(())
    }
}
