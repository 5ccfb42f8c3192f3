//! Products that are added to the residual stream and become codes: `wgsl/kernels/matmul/matvec_residual.wgsl`.

use turbo_wgsl::{Variant, matmul};

use super::codes::{Codes, CodesInput};
use super::fused::{fused_grid, fused_params, makes_units, unit_problem, variant_name};
use super::matvec::out_problem;
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::Recorder;
use crate::weights::Matrix;

/// Most columns of a matrix for which [`Residual`] is faster than a product and then its codes: its workgroups have 32 rows,
/// and with long rows and few of them a GPU waits for those that have the most.
const MOST_RESIDUAL_COLS: usize = 8192;

/// Whether [`Residual`] takes `matrix` on `gpu`, and is the faster way.
pub fn suits_residual(gpu: &Gpu, matrix: &Matrix) -> bool {
    let runs = |variant| gpu.capabilities().unmet(variant).is_none();
    let variants = &matmul::matvec_residual::KERNEL.variants;
    makes_units(matrix) && matrix.cols() <= MOST_RESIDUAL_COLS && variants.first().is_some_and(runs)
}

/// A product that is added to the residual stream, which then goes through a norm to other products.
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// The matrix; its results are whole units ([`super::makes_units`]).
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
        gpu.pick(&matmul::matvec_residual::KERNEL, &[&variant_name(self.matrix, "", self.tokens)])
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
