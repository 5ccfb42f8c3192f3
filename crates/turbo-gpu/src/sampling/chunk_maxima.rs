//! The largest logit of every chunk: `wgsl/kernels/sampling/chunk_maxima.wgsl`.

use std::ops::Range;

use turbo_wgsl::params::ChunkMaximaParams;
use turbo_wgsl::sampling::chunk_maxima::{Bindings, PLAIN};

use super::CHUNK;
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::recorder::{Grid, Recorder};

/// Stores the maxima of `rows` of `logits`, rows of `n_vocab` values, at the start of `maxima`.
pub(super) fn chunk_maxima(
    recorder: &mut Recorder<'_>,
    logits: Bind<'_>,
    rows: Range<u32>,
    n_vocab: u32,
    maxima: Bind<'_>,
) -> Result<(), GpuError> {
    let chunks = n_vocab.div_ceil(CHUNK as u32);
    let params = ChunkMaximaParams {
        rows: rows.end - rows.start,
        first_row: rows.start,
        n_vocab,
        chunks,
        ..ChunkMaximaParams::default()
    };
    recorder.dispatch(PLAIN, Bindings { logits, maxima }, &params, Grid::items(params.rows * chunks, 64))
}
