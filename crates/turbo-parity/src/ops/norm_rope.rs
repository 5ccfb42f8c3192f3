//! `ops/norm_rope` against its twin.

use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_cpu::ops::RopeAngles;
use turbo_cpu::ops::norm_rope::norm_rope;
use turbo_gpu::{Gpu, GpuError, ops};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `ops/norm_rope`.
pub(crate) struct NormRope;

impl Parity for NormRope {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::ops::norm_rope::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, _: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for (style, tokens, heads, head_dim, pairs) in [
            (RopeStyle::Neox, 1, 40, 128, 64),
            (RopeStyle::Neox, 5, 3, 80, 16),
            (RopeStyle::Interleaved, 7, 4, 64, 32),
            (RopeStyle::Interleaved, 2, 1, 48, 5),
        ] {
            let row = heads * head_dim;
            let mut inputs = Inputs::new(row as u64);
            let (mut x, weight) = (inputs.normals(tokens * row), inputs.normals(head_dim));
            let with_weight = gpu.upload("weight", &weight)?;
            let inv_freq = (0..pairs).map(|i| 1e-5_f32.powf(i as f32 / pairs as f32)).collect();
            let positions: Vec<u32> = (0..tokens as u32).map(|t| t * 18_731).collect();
            let mut angles = RopeAngles::default();
            angles.prepare(&RopeTable { style, inv_freq, magnitude: 1.25 }, &positions);
            let (factors, to) = (gpu.upload("factors", angles.factors())?, gpu.upload("x", &x)?);
            let mut recorder = gpu.recorder("norm_rope");
            let (tokens, pairs) = (tokens as u32, pairs as u32);
            let call = ops::Rope { tokens, heads: heads as u32, head_dim: head_dim as u32, pairs, style };
            let norm = ops::HeadNorm { weight: with_weight.bind(), eps: 1e-6 };
            call.record_normed_with(&mut recorder, factors.bind(), &norm, to.bind(), variant)?;
            recorder.submit()?;
            norm_rope(&mut x, &weight, 1e-6, &angles, style, heads);
            tally.compare_values(&gpu.download(&to, 0..x.len())?, &x, row);
        }
        Ok(())
    }
}
