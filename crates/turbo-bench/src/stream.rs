//! The read bandwidth of the device, by `bench/stream`.

use turbo_gpu::bench::stream::{Stream, sums};
use turbo_gpu::{Buffer, Gpu, GpuError};
use turbo_parity::Inputs;
use turbo_wgsl::bench::stream::{KERNEL, PLAIN};

use crate::bench::{Bench, Subject};
use crate::error::BenchError;

/// Bytes that are read: more than caches hold.
const BYTES: u64 = 1 << 30;

/// The same on software adapters, which read the host's memory, and where little is to be measured.
const QUICK_BYTES: u64 = 128 << 20;

/// Words that are made on the host; the device copies them.
const PATTERN: usize = 1 << 20;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let gpu = bench.gpu;
    let small = bench.options.quick || gpu.description().kind == "software";
    let x = filled(gpu, if small { QUICK_BYTES } else { BYTES })?;
    let vectors = x.len() / 4;
    let y = gpu.buffer::<u32>("sums", sums(vectors))?;
    let mut subject = Subject::of(&KERNEL, PLAIN);
    subject.shape = format!("{} MiB", x.bytes() >> 20);
    subject.bytes = x.bytes() + y.bytes();
    subject.ops = x.len() as u64;
    let stream = Stream { vectors: vectors as u32 };
    bench.measure_bandwidth(subject, |recorder| stream.record(recorder, x.bind(), y.bind()))
}

/// A buffer of `bytes` bytes, or as many as the device has room for, full of random words: memory of zeros may be
/// compressed.
fn filled(gpu: &Gpu, bytes: u64) -> Result<Buffer<u32>, GpuError> {
    let mut bytes = bytes;
    while bytes > gpu.capabilities().max_binding_bytes {
        bytes /= 2;
    }
    let x = loop {
        match gpu.buffer::<u32>("stream", (bytes / 4) as usize) {
            Err(GpuError::OutOfMemory { .. }) if bytes > QUICK_BYTES => bytes /= 2,
            made => break made?,
        }
    };
    let mut random = Inputs::new(bytes);
    let pattern: Vec<u32> = (0..PATTERN.min(x.len())).map(|_| random.bits()).collect();
    let pattern = gpu.upload("pattern", &pattern)?;
    let mut recorder = gpu.recorder("fill");
    for first in (0..x.len()).step_by(pattern.len()) {
        recorder.copy(&pattern, 0..pattern.len().min(x.len() - first), &x, first)?;
    }
    recorder.submit()?;
    gpu.wait()?;
    Ok(x)
}
