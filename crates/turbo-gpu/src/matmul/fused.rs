//! Products for few tokens that are done together, or whose results go on as codes: `wgsl/kernels/matmul/matvec_joined.wgsl`,
//! `matvec_residual.wgsl` and `matvec_gated.wgsl`.

use turbo_backend::plan::Activation;
use turbo_wgsl::params::{FusedParams, JoinedParams};
use turbo_wgsl::{Variant, matmul};

use super::codes::{Codes, CodesInput};
use super::matvec::{out_problem, tokens_of, tokens_of_workgroup};
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};
use crate::weights::{Matrix, MatrixPart, UNIT};

/// Most tokens that these products are for.
pub const MOST_FUSED_TOKENS: u32 = 8;

/// Rows of a workgroup of `matmul/matvec_joined`.
const JOINED_ROWS: u32 = 8;

/// Most columns of a matrix for which [`Residual`] is faster than a product and then its codes: its workgroups have 32 rows,
/// and with long rows and few of them a GPU waits for those that have the most.
const MOST_RESIDUAL_COLS: usize = 8192;

/// The name of a variant for `tokens` tokens.
fn name(matrix: &Matrix, kind: &str, tokens: u32) -> String {
    format!("{}{kind},t{}", matrix.ty(), tokens_of_workgroup(tokens))
}

/// Whether the results of `matrix` are whole units of codes, in every binding.
pub fn makes_units(matrix: &Matrix) -> bool {
    let whole = |part: MatrixPart<'_>| (part.rows as usize | part.first_row as usize).is_multiple_of(UNIT);
    matrix.is_quantised() && matrix.parts().all(whole)
}

/// Whether [`Residual`] takes `matrix` on `gpu`, and is the faster way.
pub fn suits_residual(gpu: &Gpu, matrix: &Matrix) -> bool {
    let runs = |variant| gpu.capabilities().unmet(variant).is_none();
    let variants = &matmul::matvec_residual::KERNEL.variants;
    makes_units(matrix) && matrix.cols() <= MOST_RESIDUAL_COLS && variants.first().is_some_and(runs)
}

/// Whether [`Gated`] takes these matrices.
pub fn are_pair(gate: &Matrix, up: &Matrix) -> bool {
    let rows = |matrix: &Matrix| matrix.parts().map(|part| part.rows).collect::<Vec<_>>();
    are_alike(gate, up) && makes_units(gate) && rows(gate) == rows(up)
}

/// Whether [`Joined`] takes these matrices.
pub fn are_joinable(matrices: &[&Matrix]) -> bool {
    let whole = |matrix: &&Matrix| matrix.is_quantised() && matrix.parts().len() == 1;
    matches!(matrices.len(), 2 | 3)
        && matrices.iter().all(whole)
        && matrices.iter().all(|matrix| are_alike(matrix, matrices[0]))
}

/// Whether rows of two matrices are laid out alike.
fn are_alike(one: &Matrix, other: &Matrix) -> bool {
    one.ty() == other.ty() && one.cols() == other.cols()
}

/// Products of two or three matrices of one type with the same activations.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// The matrices, each with what receives as many values for every token as it has rows.
    pub products: &'a [(&'a Matrix, Bind<'a>)],
    /// The activations, codes of 8 bits.
    pub input: CodesInput<'a>,
    /// Number of tokens.
    pub tokens: u32,
}

impl Joined<'_> {
    /// The variant for it.
    ///
    /// # Errors
    /// The device can run none; there are no matrices.
    pub fn variant(&self, gpu: &Gpu) -> Result<&'static Variant, GpuError> {
        let Some((matrix, _)) = self.products.first() else {
            return Err(gpu.call("matmul/matvec_joined", "there are no matrices"));
        };
        gpu.pick(&matmul::matvec_joined::KERNEL, &[&name(matrix, "", self.tokens)])
    }

    /// Records the products.
    ///
    /// # Errors
    /// Matrices that are not alike, sizes that do not fit, a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        let variant = self.variant(recorder.gpu())?;
        self.record_with(recorder, variant)
    }

    /// Like [`Joined::record`], with this variant.
    ///
    /// # Errors
    /// As [`Joined::record`].
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        if let Some(reason) = self.problem() {
            return Err(recorder.gpu().call(variant.label, reason));
        }
        if self.tokens == 0 {
            return Ok(());
        }
        // A matrix that is not there has no rows; what is bound for it is not touched.
        let [first, second] = [self.products[0], self.products[1]];
        let third = self.products.get(2);
        let gpu = recorder.gpu();
        let row = first.0.row();
        let rows = [first.0.rows() as u32, second.0.rows() as u32, third.map_or(0, |(matrix, _)| matrix.rows() as u32)];
        let (codes, heads) = self.input.binds();
        let bindings = matmul::matvec_joined::Bindings {
            weights: whole(gpu, variant, first.0)?,
            second: whole(gpu, variant, second.0)?,
            third: whole(gpu, variant, third.unwrap_or(&first).0)?,
            codes,
            heads,
            out: first.1,
            second_out: second.1,
            third_out: third.map_or(second.1, |(_, out)| *out),
        };
        let params = JoinedParams {
            rows: rows[0],
            second_rows: rows[1],
            third_rows: rows[2],
            row_words: row.words as u32,
            high_plane: row.high_plane as u32,
            scales: row.scales as u32,
            units: row.units as u32,
            tokens: self.tokens,
            normed: self.input.norm.is_some().into(),
            eps: self.input.norm.unwrap_or(0.0),
        };
        let groups: u32 = rows.iter().map(|rows| rows.div_ceil(JOINED_ROWS)).sum();
        let grid = Grid::linear(self.tokens.div_ceil(tokens_of(variant)) * groups);
        recorder.dispatch(variant, bindings, &params, grid)
    }

    fn problem(&self) -> Option<String> {
        let matrices: Vec<&Matrix> = self.products.iter().map(|(matrix, _)| *matrix).collect();
        if !are_joinable(&matrices) || self.input.wide {
            let types: Vec<String> =
                matrices.iter().map(|m| format!("{} x {} of {}", m.rows(), m.cols(), m.ty())).collect();
            return Some(format!("{} are not two or three alike, or the codes are wide", types.join(", ")));
        }
        let outs = self.products.iter().map(|(m, out)| out_problem(m.rows(), self.tokens, None, *out, m.rows() as u32));
        self.input.problem(matrices[0], self.tokens).or_else(|| outs.flatten().next())
    }
}

/// The only binding of a matrix.
fn whole<'a>(gpu: &Gpu, variant: &Variant, matrix: &'a Matrix) -> Result<Bind<'a>, GpuError> {
    let part = matrix.parts().next().ok_or_else(|| gpu.call(variant.label, "a matrix without rows"))?;
    Ok(part.bind)
}

/// A product that is added to the residual stream, which then goes through a norm to other products.
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// The matrix; its results are whole units ([`makes_units`]).
    pub matrix: &'a Matrix,
    /// The activations.
    pub input: CodesInput<'a>,
    /// Number of tokens.
    pub tokens: u32,
    /// The residual stream, as many values for every token as the matrix has rows.
    pub x: Bind<'a>,
    /// The weight of the norm.
    pub weight: Bind<'a>,
    /// Receives the codes of x * weight: other codes than those of the input.
    pub next: &'a Codes,
    /// Whether they are wide.
    pub next_wide: bool,
}

impl Residual<'_> {
    /// The variant for it.
    ///
    /// # Errors
    /// The device can run none.
    pub fn variant(&self, gpu: &Gpu) -> Result<&'static Variant, GpuError> {
        gpu.pick(&matmul::matvec_residual::KERNEL, &[&name(self.matrix, "", self.tokens)])
    }

    /// Records the product.
    ///
    /// # Errors
    /// Sizes that do not fit, a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        let variant = self.variant(recorder.gpu())?;
        self.record_with(recorder, variant)
    }

    /// Like [`Residual::record`], with this variant.
    ///
    /// # Errors
    /// As [`Residual::record`].
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        if let Some(reason) = self.problem() {
            return Err(recorder.gpu().call(variant.label, reason));
        }
        let (codes, heads) = self.input.binds();
        let (next_codes, next_heads) = (self.next.codes.bind(), self.next.heads.bind());
        let next_fine_plane = self.next.fine_plane(self.next_wide);
        for part in self.matrix.parts().filter(|part| part.rows > 0 && self.tokens > 0) {
            let (weights, weight, x) = (part.bind, self.weight, self.x);
            let bindings =
                matmul::matvec_residual::Bindings { weights, codes, heads, weight, x, next_codes, next_heads };
            let params = fused_params(self.matrix, &part, self.tokens, &self.input, next_fine_plane);
            recorder.dispatch(variant, bindings, &params, fused_grid(variant, &part, self.tokens))?;
        }
        Ok(())
    }

    fn problem(&self) -> Option<String> {
        let (rows, tokens) = (self.matrix.rows(), self.tokens);
        if self.weight.bytes < 4 * rows as u64 {
            return Some(format!("a norm of {} bytes for {rows} rows", self.weight.bytes));
        }
        unit_problem(self.matrix, self.tokens, self.next, &self.input)
            .or_else(|| out_problem(rows, tokens, None, self.x, rows as u32))
    }
}

/// The products of gate and up of a feed-forward layer, and codes of activation(gate) * up.
#[derive(Clone, Copy, Debug)]
pub struct Gated<'a> {
    /// The matrix of the gate; [`are_pair`] with the other.
    pub gate: &'a Matrix,
    /// The other.
    pub up: &'a Matrix,
    /// What the gate goes through.
    pub activation: Activation,
    /// The activations, codes of 8 bits.
    pub input: CodesInput<'a>,
    /// Number of tokens.
    pub tokens: u32,
    /// Receives the codes: other codes than those of the input.
    pub next: &'a Codes,
    /// Whether they are wide.
    pub next_wide: bool,
}

impl Gated<'_> {
    /// The variant for it.
    ///
    /// # Errors
    /// The device can run none.
    pub fn variant(&self, gpu: &Gpu) -> Result<&'static Variant, GpuError> {
        let kind = match self.activation {
            Activation::Silu => ",silu",
            Activation::GeluTanh => ",gelu_tanh",
        };
        gpu.pick(&matmul::matvec_gated::KERNEL, &[&name(self.gate, kind, self.tokens)])
    }

    /// Records the products.
    ///
    /// # Errors
    /// Matrices that are not alike, sizes that do not fit, a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        let variant = self.variant(recorder.gpu())?;
        self.record_with(recorder, variant)
    }

    /// Like [`Gated::record`], with this variant.
    ///
    /// # Errors
    /// As [`Gated::record`].
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        if let Some(reason) = self.problem() {
            return Err(recorder.gpu().call(variant.label, reason));
        }
        let (codes, heads) = self.input.binds();
        let (next_codes, next_heads) = (self.next.codes.bind(), self.next.heads.bind());
        let next_fine_plane = self.next.fine_plane(self.next_wide);
        let parts = self.gate.parts().zip(self.up.parts());
        for (part, up) in parts.filter(|(part, _)| part.rows > 0 && self.tokens > 0) {
            let (weights, up) = (part.bind, up.bind);
            let bindings = matmul::matvec_gated::Bindings { weights, up, codes, heads, next_codes, next_heads };
            let params = fused_params(self.gate, &part, self.tokens, &self.input, next_fine_plane);
            recorder.dispatch(variant, bindings, &params, fused_grid(variant, &part, self.tokens))?;
        }
        Ok(())
    }

    fn problem(&self) -> Option<String> {
        let (gate, up) = (self.gate, self.up);
        if !are_pair(gate, up) || self.input.wide {
            let shape = |m: &Matrix| format!("{} x {} of {}", m.rows(), m.cols(), m.ty());
            return Some(format!("{} and {} are not alike, or the codes are wide", shape(gate), shape(up)));
        }
        unit_problem(gate, self.tokens, self.next, &self.input)
    }
}

/// Why the codes of the results of `matrix` cannot be made, if so.
fn unit_problem(matrix: &Matrix, tokens: u32, next: &Codes, input: &CodesInput<'_>) -> Option<String> {
    let values = tokens as usize * matrix.rows();
    if !makes_units(matrix) {
        return Some(format!("{} rows of {} are not whole units of {UNIT}", matrix.rows(), matrix.ty()));
    }
    if !next.fits(values) {
        return Some(format!("codes of another size for {tokens} tokens of {} results", matrix.rows()));
    }
    if next.is(input.codes) {
        return Some("codes of the results in the place of those of the activations".to_owned());
    }
    input.problem(matrix, tokens)
}

fn fused_params(
    matrix: &Matrix,
    part: &MatrixPart<'_>,
    tokens: u32,
    input: &CodesInput<'_>,
    next_fine_plane: u32,
) -> FusedParams {
    let row = matrix.row();
    FusedParams {
        row_words: row.words as u32,
        high_plane: row.high_plane as u32,
        scales: row.scales as u32,
        units: row.units as u32,
        rows: part.rows,
        tokens,
        fine_plane: input.fine_plane(),
        first_row: part.first_row,
        out_row: matrix.rows() as u32,
        next_fine_plane,
        normed: input.norm.is_some().into(),
        eps: input.norm.unwrap_or(0.0),
    }
}

fn fused_grid(variant: &Variant, part: &MatrixPart<'_>, tokens: u32) -> Grid {
    Grid::linear(tokens.div_ceil(tokens_of(variant)) * (part.rows / UNIT as u32))
}
