//! Products for many tokens: `wgsl/kernels/matmul/tiles.wgsl`, `tiles_float.wgsl` and `tiles_half.wgsl`.

use turbo_wgsl::params::TilesHalfParams;
use turbo_wgsl::{Kernel, Variant, matmul};

use super::choice::{half_variant, tile_of};
use super::matvec::{Input, MatVec};
use super::{CodesInput, Halves};
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};
use crate::weights::{Matrix, MatrixPart};

/// What the matrix is multiplied with.
#[derive(Clone, Copy, Debug)]
pub enum TilesInput<'a> {
    /// Integer codes, for quantised matrices.
    Codes(CodesInput<'a>),
    /// `tokens * cols` f32, for float matrices.
    Float(Bind<'a>),
    /// f16, for all matrices on devices with cooperative matrices.
    Halves(&'a Halves),
}

impl<'a> From<Input<'a>> for TilesInput<'a> {
    fn from(input: Input<'a>) -> Self {
        match input {
            Input::Codes(codes) => Self::Codes(codes),
            Input::Float(x) => Self::Float(x),
        }
    }
}

/// A product of a matrix with the activations of many tokens; see [`MatVec`].
#[derive(Clone, Copy, Debug)]
pub struct Tiles<'a> {
    /// The matrix.
    pub matrix: &'a Matrix,
    /// The activations.
    pub input: TilesInput<'a>,
    /// Number of tokens.
    pub tokens: u32,
    /// Added per row.
    pub bias: Option<Bind<'a>>,
    /// Whether the results are added to what `out` holds.
    pub add: bool,
    /// Receives `out_row` values per token, the results first.
    pub out: Bind<'a>,
    /// Values from token to token, at least the rows of the matrix.
    pub out_row: u32,
}

impl Tiles<'_> {
    /// Records the product.
    ///
    /// # Errors
    /// Sizes that do not fit, a device without what the input needs, a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        let variant = self.variant(recorder.gpu())?;
        self.record_with(recorder, variant)
    }

    /// The kernel for its input.
    pub fn kernel(&self) -> &'static Kernel {
        match self.input {
            TilesInput::Codes(..) => &matmul::tiles::KERNEL,
            TilesInput::Float(_) => &matmul::tiles_float::KERNEL,
            TilesInput::Halves(_) => &matmul::tiles_half::KERNEL,
        }
    }

    /// The variant for it.
    ///
    /// # Errors
    /// The device can run none.
    pub fn variant(&self, gpu: &Gpu) -> Result<&'static Variant, GpuError> {
        let ty = self.matrix.ty();
        match self.input {
            TilesInput::Halves(_) => half_variant(gpu, ty, (self.matrix.rows() as u32, self.tokens)),
            _ => gpu.pick(self.kernel(), &[ty.name()]),
        }
    }

    /// Like [`Tiles::record`], with this variant.
    ///
    /// # Errors
    /// As [`Tiles::record`].
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        if let Some(reason) = self.problem() {
            return Err(recorder.gpu().call(variant.label, reason));
        }
        let (tile_tokens, tile_rows) = tile_of(variant);
        for part in self.matrix.parts().filter(|part| part.rows > 0 && self.tokens > 0) {
            let grid = Grid::linear(self.tokens.div_ceil(tile_tokens) * part.rows.div_ceil(tile_rows));
            match self.input {
                TilesInput::Codes(codes) => self.codes(recorder, variant, (&part, grid), codes)?,
                TilesInput::Float(x) => self.floats(recorder, variant, (&part, grid), x)?,
                TilesInput::Halves(x) => self.halves(recorder, variant, (&part, grid), x)?,
            }
        }
        Ok(())
    }

    fn codes(
        &self,
        recorder: &mut Recorder<'_>,
        variant: &'static Variant,
        (part, grid): (&MatrixPart<'_>, Grid),
        input: CodesInput<'_>,
    ) -> Result<(), GpuError> {
        let (codes, heads) = input.binds();
        let params = self.as_mat_vec(Input::Codes(input)).params(part, &input);
        let (weights, bias, out) = (part.bind, self.bias.unwrap_or(heads), self.out);
        recorder.dispatch(variant, matmul::tiles::Bindings { weights, codes, heads, bias, out }, &params, grid)
    }

    fn floats(
        &self,
        recorder: &mut Recorder<'_>,
        variant: &'static Variant,
        (part, grid): (&MatrixPart<'_>, Grid),
        x: Bind<'_>,
    ) -> Result<(), GpuError> {
        let params = self.as_mat_vec(Input::Float(x)).float_params(part);
        let (weights, bias, out) = (part.bind, self.bias.unwrap_or(x), self.out);
        recorder.dispatch(variant, matmul::tiles_float::Bindings { weights, x, bias, out }, &params, grid)
    }

    fn halves(
        &self,
        recorder: &mut Recorder<'_>,
        variant: &'static Variant,
        (part, grid): (&MatrixPart<'_>, Grid),
        input: &Halves,
    ) -> Result<(), GpuError> {
        let (row, cols) = (self.matrix.row(), self.matrix.cols());
        let factor = self.matrix.half_factor();
        let params = TilesHalfParams {
            row_words: row.words as u32,
            high_plane: row.high_plane as u32,
            scales: row.scales as u32,
            units: cols.div_ceil(crate::weights::UNIT) as u32,
            rows: part.rows,
            tokens: self.tokens,
            x_row: Halves::row_vectors(cols),
            first_row: part.first_row,
            out_row: self.out_row,
            bias: self.bias.is_some().into(),
            add: self.add.into(),
            factor,
            inverse: 1.0 / factor,
        };
        let (weights, x, token_scales) = (part.bind, input.values.bind(), input.scales.bind());
        let (bias, out) = (self.bias.unwrap_or(token_scales), self.out);
        let bindings = matmul::tiles_half::Bindings { weights, x, token_scales, bias, out };
        recorder.dispatch(variant, bindings, &params, grid)
    }

    /// The same product for few tokens, which has the same params and the same needs.
    fn as_mat_vec<'a>(&'a self, input: Input<'a>) -> MatVec<'a> {
        let Self { matrix, tokens, bias, add, out, out_row, .. } = *self;
        MatVec { matrix, input, tokens, bias, add, out, out_row }
    }

    /// Why this cannot be done, if so.
    fn problem(&self) -> Option<String> {
        let (rows, cols, tokens) = (self.matrix.rows(), self.matrix.cols(), self.tokens);
        match self.input {
            TilesInput::Codes(codes) => self.as_mat_vec(Input::Codes(codes)).problem(),
            TilesInput::Float(x) => self.as_mat_vec(Input::Float(x)).problem(),
            TilesInput::Halves(halves) if !halves.fits(tokens as usize, cols) => {
                Some(format!("halves of another size for {tokens} tokens of {cols} values"))
            }
            TilesInput::Halves(_) => super::matvec::out_problem(rows, tokens, self.bias, self.out, self.out_row),
        }
    }
}
