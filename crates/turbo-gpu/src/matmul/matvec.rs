//! Products for few tokens: `wgsl/kernels/matmul/matvec.wgsl` and `matvec_float.wgsl`.

use turbo_gguf::GgmlType;
use turbo_wgsl::params::{FloatProductParams, ProductParams};
use turbo_wgsl::{Variant, matmul};

use super::codes::CodesInput;
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};
use crate::weights::{Matrix, MatrixPart, UNIT};

/// What a matrix is multiplied with.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Integer codes, for quantised matrices.
    Codes(CodesInput<'a>),
    /// `tokens * cols` f32, for float matrices.
    Float(Bind<'a>),
}

/// A product of a matrix with the activations of some tokens.
#[derive(Clone, Copy, Debug)]
pub struct MatVec<'a> {
    /// The matrix.
    pub matrix: &'a Matrix,
    /// The activations.
    pub input: Input<'a>,
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

/// Tokens of a workgroup that suit `tokens` tokens.
pub(super) fn tokens_of_workgroup(tokens: u32) -> u32 {
    if tokens <= 1 { 1 } else { 4 }
}

/// A number in the name of a variant, behind this letter.
fn number(variant: &Variant, letter: char) -> Option<u32> {
    variant.name.split(',').filter_map(|option| option.strip_prefix(letter)).find_map(|n| n.parse().ok())
}

/// Tokens of a workgroup of `variant`.
pub(super) fn tokens_of(variant: &Variant) -> u32 {
    number(variant, 't').unwrap_or(1)
}

/// Rows of a workgroup of `variant`, of `matmul/matvec` or `matmul/matvec_float`: 128 invocations do four rows each with
/// quantised weights, one with floats.
fn rows_of(variant: &Variant) -> u32 {
    number(variant, 'l').map_or(4, |lanes| 4 * 128 / lanes)
}

/// Invocations that keep a large GPU busy.
const ENOUGH_INVOCATIONS: usize = 128 << 10;

/// Lanes of a row that suit a quantised matrix of so many rows and columns: they decide the order of sums, so they are the
/// same for any number of tokens.
fn lanes_of((rows, cols): (usize, usize)) -> u32 {
    // Every lane needs a few units, or many have one less than others.
    match (4 * ENOUGH_INVOCATIONS / rows.max(1), cols / UNIT) {
        (96.., 256..) => 128,
        (48.., 128..) => 64,
        _ => 32,
    }
}

/// The variant for `tokens` tokens and a matrix of this type, rows and columns.
///
/// # Errors
/// There is no kernel for the type.
pub fn few_variant(gpu: &Gpu, ty: GgmlType, shape: (usize, usize), tokens: u32) -> Result<&'static Variant, GpuError> {
    if matches!(ty, GgmlType::F32 | GgmlType::F16 | GgmlType::BF16) {
        let tokens = if tokens > 4 { 8 } else { tokens_of_workgroup(tokens) };
        return gpu.pick(&matmul::matvec_float::KERNEL, &[&format!("{ty},t{tokens}")]);
    }
    let name = format!("{ty},t{},l{}", tokens_of_workgroup(tokens), lanes_of(shape));
    gpu.pick(&matmul::matvec::KERNEL, &[&name])
}

impl MatVec<'_> {
    /// Records the product.
    ///
    /// # Errors
    /// Sizes that do not fit, a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        let variant = self.variant(recorder.gpu())?;
        self.record_with(recorder, variant)
    }

    /// The variant for it.
    ///
    /// # Errors
    /// There is no kernel for the type.
    pub fn variant(&self, gpu: &Gpu) -> Result<&'static Variant, GpuError> {
        let shape = (self.matrix.rows(), self.matrix.cols());
        few_variant(gpu, self.matrix.ty(), shape, self.tokens)
    }

    /// Like [`MatVec::record`], with this variant.
    ///
    /// # Errors
    /// As [`MatVec::record`].
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        if let Some(reason) = self.problem() {
            return Err(recorder.gpu().call(variant.label, reason));
        }
        let token_groups = self.tokens.div_ceil(tokens_of(variant));
        for part in self.matrix.parts() {
            let grid = Grid::linear(token_groups * part.rows.div_ceil(rows_of(variant)));
            if part.rows == 0 || self.tokens == 0 {
                continue;
            }
            let (weights, out) = (part.bind, self.out);
            match self.input {
                Input::Codes(input) => {
                    let (codes, heads) = input.binds();
                    let bias = self.bias.unwrap_or(heads);
                    let bindings = matmul::matvec::Bindings { weights, codes, heads, bias, out };
                    recorder.dispatch(variant, bindings, &self.params(&part, &input), grid)?;
                }
                Input::Float(x) => {
                    let bias = self.bias.unwrap_or(x);
                    let bindings = matmul::matvec_float::Bindings { weights, x, bias, out };
                    recorder.dispatch(variant, bindings, &self.float_params(&part), grid)?;
                }
            }
        }
        Ok(())
    }

    /// Params for the rows of `part`.
    pub(super) fn params(&self, part: &MatrixPart<'_>, input: &CodesInput<'_>) -> ProductParams {
        let row = self.matrix.row();
        ProductParams {
            row_words: row.words as u32,
            high_plane: row.high_plane as u32,
            scales: row.scales as u32,
            units: row.units as u32,
            rows: part.rows,
            tokens: self.tokens,
            fine_plane: input.fine_plane(),
            first_row: part.first_row,
            out_row: self.out_row,
            bias: self.bias.is_some().into(),
            add: self.add.into(),
            normed: input.norm.is_some().into(),
            eps: input.norm.unwrap_or(0.0),
        }
    }

    /// The same with floats.
    pub(super) fn float_params(&self, part: &MatrixPart<'_>) -> FloatProductParams {
        FloatProductParams {
            row_words: self.matrix.row().words as u32,
            rows: part.rows,
            tokens: self.tokens,
            x_row: (self.matrix.cols() / 4) as u32,
            first_row: part.first_row,
            out_row: self.out_row,
            bias: self.bias.is_some().into(),
            add: self.add.into(),
        }
    }

    /// Why this cannot be done, if so.
    pub(super) fn problem(&self) -> Option<String> {
        let (rows, cols, tokens) = (self.matrix.rows(), self.matrix.cols(), self.tokens as usize);
        let problem = match self.input {
            Input::Codes(codes) => codes.problem(self.matrix, self.tokens),
            Input::Float(x) => {
                let fits = x.bytes >= 4 * (tokens * cols) as u64 && !self.matrix.is_quantised();
                let ty = self.matrix.ty();
                (!fits).then(|| format!("floats of another size for {tokens} tokens of {cols} values of {ty}"))
            }
        };
        if problem.is_some() {
            return problem;
        }
        out_problem(rows, self.tokens, self.bias, self.out, self.out_row)
    }
}

/// Why the outputs of a product of `rows` rows, or its bias, do not fit, if so.
pub(super) fn out_problem(
    rows: usize,
    tokens: u32,
    bias: Option<Bind<'_>>,
    out: Bind<'_>,
    out_row: u32,
) -> Option<String> {
    let last = u64::from(tokens.saturating_sub(1)) * u64::from(out_row) + rows as u64;
    if (out_row as usize) < rows || 4 * last > out.bytes {
        return Some(format!("{tokens} rows of {out_row} values do not fit {} bytes", out.bytes));
    }
    bias.filter(|bias| bias.bytes < 4 * rows as u64)
        .map(|bias| format!("a bias of {} bytes for {rows} rows", bias.bytes))
}
