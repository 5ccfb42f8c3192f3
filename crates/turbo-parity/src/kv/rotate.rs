//! `kv/rotate` against its twin.

use turbo_cpu::kv::rotate::rotate;
use turbo_gpu::{Gpu, GpuError, kv};
use turbo_quant::rotation_groups;
use turbo_quant::turbo::rotate::Direction;
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `kv/rotate`.
pub(crate) struct Rotate;

/// Head sizes of models, and small ones that cut into every size of group.
const HEAD_DIMS: [usize; 12] = [16, 32, 48, 64, 80, 96, 128, 192, 240, 256, 512, 576];

impl Parity for Rotate {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::kv::rotate::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let own = |n: usize| variant.name.split(',').next() == Some(&format!("n{n}"));
        let choose = |gpu: &Gpu, n: usize| if own(n) { Ok(variant) } else { kv::rotate::variant(gpu, n) };
        for head_dim in HEAD_DIMS.into_iter().filter(|&d| rotation_groups(d).any(own)) {
            for direction in [Direction::Forward, Direction::Inverse] {
                let heads = effort.of(501, 20_001);
                let case = format!("head_dim {head_dim}, {heads} heads, {direction:?}");
                let x = Inputs::new(head_dim as u64).any(heads, head_dim);
                let mut want = vec![0.0; x.len()];
                rotate(&x, &mut want, head_dim, direction);
                let call = kv::rotate::Rotate {
                    heads: heads as u32,
                    head_dim: head_dim as u32,
                    inverse: direction == Direction::Inverse,
                };
                let (from, to) = (gpu.upload("x", &x)?, gpu.buffer::<f32>("y", x.len())?);
                let mut recorder = gpu.recorder("rotate");
                call.record_with(&mut recorder, from.bind(), to.bind(), choose)?;
                recorder.submit()?;
                let got: Vec<u32> = gpu.download(&to, 0..to.len())?.iter().map(|y| y.to_bits()).collect();
                let want: Vec<u32> = want.iter().map(|y| y.to_bits()).collect();
                tally.compare_bits(&case, &got, &want, head_dim);
            }
        }
        Ok(())
    }
}
