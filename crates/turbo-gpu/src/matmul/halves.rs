//! Activations as f16: `wgsl/kernels/matmul/halves.wgsl`.

use turbo_wgsl::matmul::halves::{Bindings, KERNEL};
use turbo_wgsl::params::HalvesParams;

use crate::buffer::{Bind, Buffer};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};

/// Rows of halves are multiples of this: two steps of the products.
const STEP: usize = 128;

/// Room for some tokens' activations as f16, each token with a scale; input of products through cooperative matrices.
#[derive(Debug)]
pub struct Halves {
    /// Two to a word.
    pub(super) values: Buffer<u32>,
    pub(super) scales: Buffer<f32>,
}

impl Halves {
    /// Room for `tokens` tokens of `cols` values.
    ///
    /// # Errors
    /// Too little memory.
    pub fn new(gpu: &Gpu, tokens: usize, cols: usize) -> Result<Self, GpuError> {
        let values = gpu.buffer("halves of activations", tokens * row(cols) / 2)?;
        Ok(Self { values, scales: gpu.buffer("scales of halves", tokens)? })
    }

    /// Vectors of four from token to token.
    pub(super) fn row_vectors(cols: usize) -> u32 {
        (row(cols) / 4) as u32
    }

    /// Whether there is room for `tokens` tokens of `cols` values.
    pub(super) fn fits(&self, tokens: usize, cols: usize) -> bool {
        tokens <= self.scales.len() && tokens * row(cols) / 2 <= self.values.len()
    }

    /// Records the rounding of `tokens` tokens of `cols` values of `x`, a multiple of 4.
    ///
    /// # Errors
    /// Sizes that do not fit; a device without f16; a failing device.
    pub fn record(
        &self,
        recorder: &mut Recorder<'_>,
        x: Bind<'_>,
        (tokens, cols): (usize, usize),
    ) -> Result<(), GpuError> {
        if cols == 0 || !cols.is_multiple_of(4) || !self.fits(tokens, cols) || x.bytes < 4 * (tokens * cols) as u64 {
            let (tokens_of, values) = (self.scales.len(), 2 * self.values.len());
            let reason = format!(
                "{tokens} tokens of {cols} values of {} bytes into halves of {tokens_of} tokens, {values} values",
                x.bytes
            );
            return Err(recorder.gpu().call("matmul/halves", reason));
        }
        if tokens == 0 {
            return Ok(());
        }
        let variant = recorder.gpu().pick(&KERNEL, &[""])?;
        let params = HalvesParams { tokens: tokens as u32, vectors: (cols / 4) as u32, row: Self::row_vectors(cols) };
        let bindings = Bindings { x, halves: self.values.bind(), scales: self.scales.bind() };
        recorder.dispatch(variant, bindings, &params, Grid::linear(tokens as u32))
    }

    /// The words of the halves of `tokens` tokens of `cols` values, padding included, and the scales, for tests.
    ///
    /// # Errors
    /// A failing device.
    pub fn download(&self, gpu: &Gpu, tokens: usize, cols: usize) -> Result<(Vec<u32>, Vec<f32>), GpuError> {
        let values = gpu.download(&self.values, 0..tokens * row(cols) / 2)?;
        Ok((values, gpu.download(&self.scales, 0..tokens)?))
    }
}

/// Halves from token to token.
fn row(cols: usize) -> usize {
    cols.next_multiple_of(STEP)
}
