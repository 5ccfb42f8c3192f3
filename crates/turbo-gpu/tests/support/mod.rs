//! What several tests need.

use turbo_gpu::{Gpu, GpuOptions, usable_adapters};
use turbo_testkit::gpus_found;

/// The first GPU of this machine; none only if TURBO_TEST_NO_GPU=1 says that there is none.
pub(crate) fn gpu() -> Option<Gpu> {
    let adapter = gpus_found(usable_adapters()).into_iter().next();
    adapter.map(|adapter| Gpu::open(&adapter, &GpuOptions::default()).expect("the adapter opens"))
}
