//! `bench/stream` against its twin.

use turbo_cpu::bench::stream::stream;
use turbo_gpu::bench::stream as on_gpu;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `bench/stream`.
pub(crate) struct Stream;

/// Vectors: fewer and more than whole workgroups.
const SIZES: [usize; 5] = [1, 255, 4096, 4097, 10_000];

impl Parity for Stream {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::bench::stream::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let large = effort.of(None, Some(300_000_usize));
        for vectors in SIZES.into_iter().chain(large) {
            let mut random = Inputs::new(vectors as u64);
            let x: Vec<u32> = (0..4 * vectors).map(|_| random.bits()).collect();
            let (from, to) = (gpu.upload("x", &x)?, gpu.buffer::<u32>("y", on_gpu::sums(vectors))?);
            let mut recorder = gpu.recorder("stream");
            on_gpu::Stream { vectors: vectors as u32 }.record(&mut recorder, from.bind(), to.bind())?;
            recorder.submit()?;
            let got = gpu.download(&to, 0..to.len())?;
            tally.compare_bits(&format!("{vectors} vectors"), &got, &stream(&x), 1);
        }
        Ok(())
    }
}
