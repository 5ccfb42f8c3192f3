//! Products of several matrices with the same activations: `wgsl/kernels/matmul/matvec_joined.wgsl`.

use turbo_wgsl::params::JoinedParams;
use turbo_wgsl::{Variant, matmul};

use super::codes::CodesInput;
use super::fused::{are_alike, variant_name};
use super::matvec::{out_problem, tokens_of};
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};
use crate::weights::Matrix;

/// Rows of a workgroup of `matmul/matvec_joined`.
const JOINED_ROWS: u32 = 8;

/// Whether [`Joined`] takes these matrices.
pub fn are_joinable(matrices: &[&Matrix]) -> bool {
    let whole = |matrix: &&Matrix| matrix.is_quantised() && matrix.parts().len() == 1;
    matches!(matrices.len(), 2 | 3)
        && matrices.iter().all(whole)
        && matrices.iter().all(|matrix| are_alike(matrix, matrices[0]))
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
        gpu.pick(&matmul::matvec_joined::KERNEL, &[&variant_name(matrix, "", self.tokens)])
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
