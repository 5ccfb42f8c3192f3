//! What can go wrong when kernels are measured.

use turbo_gpu::GpuError;

/// Options that make no sense, or a failing device.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Query heads that K/V heads cannot share.
    #[error(
        "{heads} query heads on {kv_heads} K/V heads: expected 1 to 1024 of each, the first a multiple of the second"
    )]
    Heads {
        /// Query heads.
        heads: usize,
        /// K/V heads.
        kv_heads: usize,
    },
    /// Too few or too many keys.
    #[error("{keys} keys: expected 1 to {most}")]
    Keys {
        /// What was asked for.
        keys: usize,
        /// The most that can be asked for.
        most: usize,
    },
    /// A filter that leaves nothing to measure.
    #[error("no kernel variant that is measured has {filter:?} in its name: leave the filter out to see all of them")]
    Filter {
        /// The filter.
        filter: String,
    },
    /// The device failed.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}
