//! Reading memory as fast as the device can: `wgsl/kernels/bench/stream.wgsl`.

use turbo_wgsl::bench::stream::{Bindings, KERNEL, PLAIN};
use turbo_wgsl::params::StreamParams;

use crate::buffer::Bind;
use crate::error::GpuError;
use crate::recorder::{Grid, Recorder};

/// Invocations of a workgroup.
pub const WORKGROUP: usize = 256;

/// Vectors of four words that an invocation reads.
pub const EACH: usize = 16;

/// Number of sums that reading `vectors` vectors gives.
pub const fn sums(vectors: usize) -> usize {
    vectors.div_ceil(WORKGROUP * EACH) * WORKGROUP
}

/// Reading of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Vectors of four words that are read.
    pub vectors: u32,
}

impl Stream {
    /// Records the reading of `x`; `y` receives [`sums`] words. Those of invocations without a vector are left alone.
    ///
    /// # Errors
    /// Buffers too small; a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>, x: Bind<'_>, y: Bind<'_>) -> Result<(), GpuError> {
        let vectors = self.vectors as usize;
        if x.bytes < 16 * vectors as u64 || y.bytes < 4 * sums(vectors) as u64 {
            let reason = format!("{vectors} vectors do not fit x of {} and y of {} bytes", x.bytes, y.bytes);
            return Err(recorder.gpu().call(&format!("{}/{}", KERNEL.family, KERNEL.name), reason));
        }
        if vectors == 0 {
            return Ok(());
        }
        let params = StreamParams { vectors: self.vectors, ..StreamParams::default() };
        let grid = Grid::linear(vectors.div_ceil(WORKGROUP * EACH) as u32);
        recorder.dispatch(PLAIN, Bindings { x, y }, &params, grid)
    }
}
