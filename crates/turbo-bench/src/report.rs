//! The rows of the table.

use serde::Serialize;

/// What took the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Timestamps of the device.
    Gpu,
    /// The host's clock around a submission and the wait for it: the device has no timestamps. Too long by what the
    /// submission itself takes, spread over its dispatches.
    Wall,
}

/// One kernel variant in one shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchRow {
    /// `family/kernel`; `attention` for the dispatches of one attention together.
    pub kernel: String,
    /// The variant; `K/V` types for `attention`. Empty if the kernel has none.
    pub variant: String,
    /// The shape in words.
    pub shape: String,
    /// Microseconds of one dispatch (of one call for `attention`), the median of the samples.
    pub microseconds: f64,
    /// Distance of the quartiles of the samples, divided by the median.
    pub spread: f64,
    /// Samples that were taken.
    pub samples: usize,
    /// Dependent dispatches of a sample: its time is divided by their number.
    pub repetitions: usize,
    /// Bytes that have to be read or written, each counted once.
    pub bytes: u64,
    /// `bytes` per time, in 10^9 bytes per second.
    pub gb_per_s: f64,
    /// `gb_per_s` divided by the measured read bandwidth. Above 1 where the data stays in a cache.
    pub share_of_bandwidth: f64,
    /// Additions, multiplications and comparisons of values (not of indices or bits).
    pub ops: u64,
}

/// The table of one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    /// The device.
    pub device: String,
    /// What took the times.
    pub clock: Clock,
    /// Read bandwidth as `bench/stream` measures it, in 10^9 bytes per second.
    pub bandwidth_gb_per_s: f64,
    /// The rows; that of `bench/stream` is the first.
    pub rows: Vec<BenchRow>,
}
