//! `ops/rope` against its twin.

use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_cpu::ops::RopeAngles;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/rope`.
pub(crate) struct Rope;

impl Parity for Rope {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::rope::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (style, tokens, heads, head_dim, pairs) in [
            (RopeStyle::Neox, 1, 40, 128, 64),
            (RopeStyle::Neox, 5, 3, 80, 16),
            (RopeStyle::Interleaved, 7, 4, 64, 32),
            (RopeStyle::Interleaved, 2, 1, 48, 5),
        ] {
            let row = heads * head_dim;
            let mut x = Inputs::new(row as u64).normals(tokens * row);
            let inv_freq = (0..pairs).map(|i| 1e-5_f32.powf(i as f32 / pairs as f32)).collect();
            let positions: Vec<u32> = (0..tokens as u32).map(|t| t * 18_731).collect();
            let mut angles = RopeAngles::default();
            angles.prepare(&RopeTable { style, inv_freq, magnitude: 1.25 }, &positions);
            let (factors, to) = (gpu.upload("factors", angles.factors())?, gpu.upload("x", &x)?);
            let mut recorder = gpu.recorder("rope");
            let (tokens, pairs) = (tokens as u32, pairs as u32);
            let call = ops::Rope { tokens, heads: heads as u32, head_dim: head_dim as u32, pairs, style };
            call.record(&mut recorder, factors.bind(), to.bind())?;
            recorder.submit()?;
            for (token, row) in x.chunks_exact_mut(row).enumerate() {
                angles.apply(style, token, row, head_dim);
            }
            tally.compare_values(&gpu.download(&to, 0..x.len())?, &x, row);
        }
        Ok(())
    }
}
