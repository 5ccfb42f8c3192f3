//! Tokens chosen from rows of logits: `wgsl/kernels/sampling/choose.wgsl`.

use turbo_backend::{ChoiceWords, MAX_TOP_K};
use turbo_wgsl::params::ChooseParams;
use turbo_wgsl::sampling::choose::{Bindings, PLAIN};

use super::CHUNK;
use super::chunk_maxima::chunk_maxima;
use crate::buffer::{Bind, Buffer, ReadBack};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};

/// Room for choices from some rows of logits, and the places that chosen tokens stay in.
#[derive(Debug)]
pub struct Choices {
    n_vocab: usize,
    rows: usize,
    maxima: Buffer<u32>,
    choices: Buffer<[u32; 8]>,
    candidates: Buffer<[u32; 2]>,
    chosen: Buffer<u32>,
}

/// Candidates that `top_k` may need in a row: of chunks whose maximum is above the `top_k`-th there are fewer than
/// that, of those where it is equal as many are looked at.
const fn room(top_k: u32) -> usize {
    2 * CHUNK * top_k as usize
}

impl Choices {
    /// Room for choices from at most `rows` rows of `n_vocab` logits at a time, and `places` for chosen tokens.
    ///
    /// # Errors
    /// Too little memory.
    pub fn new(gpu: &Gpu, n_vocab: usize, rows: usize, places: usize) -> Result<Self, GpuError> {
        Ok(Self {
            n_vocab,
            rows,
            maxima: gpu.buffer("largest logits", rows * n_vocab.div_ceil(CHUNK))?,
            choices: gpu.buffer("choices", rows)?,
            candidates: gpu.buffer("candidates", rows * room(MAX_TOP_K))?,
            chosen: gpu.buffer("chosen tokens", places)?,
        })
    }

    /// Places for chosen tokens.
    pub fn places(&self) -> usize {
        self.chosen.len()
    }

    /// The places, for kernels that take tokens from them.
    pub fn chosen(&self) -> Bind<'_> {
        self.chosen.bind()
    }

    /// Sets the choices that [`Choices::record`] makes; takes effect before work that is submitted later.
    ///
    /// # Errors
    /// More than there is room for; a failing device.
    pub fn write(&self, gpu: &Gpu, choices: &[ChoiceWords]) -> Result<(), GpuError> {
        let words: Vec<[u32; 8]> = choices.iter().map(ChoiceWords::in_order).collect();
        gpu.write(&self.choices, 0, &words)
    }

    /// Records the choice from a row of `logits` for each of `choices`, which were written; the first row is `first`.
    ///
    /// # Errors
    /// Rows or places that there are not; a failing device.
    pub fn record(
        &self,
        recorder: &mut Recorder<'_>,
        logits: Bind<'_>,
        first: usize,
        choices: &[ChoiceWords],
    ) -> Result<(), GpuError> {
        let end = first + choices.len();
        let place = choices.iter().map(|choice| choice.place as usize).max().unwrap_or(0);
        if choices.len() > self.rows || place >= self.places() || logits.bytes < 4 * (end * self.n_vocab) as u64 {
            let (rows, places) = (self.rows, self.places());
            let reason =
                format!("rows {first} to {end} of {} bytes to {place}, of {rows} rows, {places}", logits.bytes);
            return Err(recorder.gpu().call("sampling/choose", reason));
        }
        if choices.is_empty() {
            return Ok(());
        }
        let n_vocab = self.n_vocab as u32;
        chunk_maxima(recorder, logits, first as u32..end as u32, n_vocab, self.maxima.bind())?;
        let params = ChooseParams {
            first_row: first as u32,
            n_vocab,
            chunks: n_vocab.div_ceil(CHUNK as u32),
            room: room(MAX_TOP_K) as u32,
            ..ChooseParams::default()
        };
        let bindings = Bindings {
            logits,
            maxima: self.maxima.bind(),
            choices: self.choices.bind(),
            candidates: self.candidates.bind(),
            chosen: self.chosen.bind(),
        };
        recorder.dispatch(PLAIN, bindings, &params, Grid { x: choices.len() as u32, y: 1, z: 1 })
    }

    /// Copies the tokens in the first `places` places to `to`, from its value `at` on.
    ///
    /// # Errors
    /// Places beyond the end.
    pub fn copy_out(
        &self,
        recorder: &mut Recorder<'_>,
        places: usize,
        to: &ReadBack<u32>,
        at: usize,
    ) -> Result<(), GpuError> {
        recorder.copy_words(&self.chosen, 0..places, to, at)
    }

    /// The maxima of the last record, for tests.
    ///
    /// # Errors
    /// A failing device.
    pub fn maxima(&self, gpu: &Gpu, rows: usize) -> Result<Vec<u32>, GpuError> {
        gpu.download(&self.maxima, 0..rows * self.n_vocab.div_ceil(CHUNK))
    }

    /// The tokens in all places, for tests.
    ///
    /// # Errors
    /// A failing device.
    pub fn tokens(&self, gpu: &Gpu) -> Result<Vec<u32>, GpuError> {
        gpu.download(&self.chosen, 0..self.places())
    }
}
