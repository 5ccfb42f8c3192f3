//! How long the GPU kernels take on the device at hand, and what share of its memory bandwidth that is.
//!
//! [`run`] measures the read bandwidth first, then kernel by kernel in shapes that models have. A kernel is dispatched
//! many times in a row, every dispatch waiting for the one before, between two readings of the device's clock: a lone
//! dispatch between two timestamps is charged some 10 us for being alone. Right before, the device does the same work
//! for a while, because clocks fall within moments of idleness. The command `turbo-wgpu bench-kernels` prints the rows.

mod attention;
mod bench;
mod clock;
mod count;
mod error;
mod fused;
mod kv;
mod matmul;
mod options;
mod report;
mod stream;

pub use error::BenchError;
pub use options::BenchOptions;
pub use report::{BenchReport, BenchRow, Clock};

use turbo_gpu::Gpu;

use bench::Bench;

/// The read bandwidth of `gpu` in GB/s; `quick` with less care.
///
/// # Errors
/// A failing device.
pub fn bandwidth(gpu: &Gpu, quick: bool) -> Result<f64, BenchError> {
    let options = BenchOptions { quick, ..BenchOptions::default() };
    let mut bandwidth = f64::NAN;
    let mut note = |row: &BenchRow| bandwidth = row.gb_per_s;
    stream::measure(&mut Bench::new(gpu, &options, &mut note))?;
    Ok(bandwidth)
}

/// Measures the kernels on `gpu`; `progress` is told each row as soon as there is one.
///
/// # Errors
/// Options that make no sense, a filter that leaves nothing, a failing device.
pub fn run(gpu: &Gpu, options: &BenchOptions, mut progress: impl FnMut(&BenchRow)) -> Result<BenchReport, BenchError> {
    options.check()?;
    let mut bench = Bench::new(gpu, options, &mut progress);
    stream::measure(&mut bench)?;
    kv::measure(&mut bench)?;
    attention::measure(&mut bench)?;
    matmul::measure(&mut bench)?;
    fused::measure(&mut bench)?;
    bench.finish()
}
