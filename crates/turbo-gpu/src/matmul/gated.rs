//! Products of gate and up that become codes: `wgsl/kernels/matmul/matvec_gated.wgsl`.

use turbo_backend::plan::Activation;
use turbo_wgsl::{Variant, matmul};

use super::codes::{Codes, CodesInput};
use super::fused::{are_alike, fused_grid, fused_params, makes_units, unit_problem, variant_name};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::Recorder;
use crate::weights::Matrix;

/// Whether [`Gated`] takes these matrices.
pub fn are_pair(gate: &Matrix, up: &Matrix) -> bool {
    let rows = |matrix: &Matrix| matrix.parts().map(|part| part.rows).collect::<Vec<_>>();
    are_alike(gate, up) && makes_units(gate) && rows(gate) == rows(up)
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
        gpu.pick(&matmul::matvec_gated::KERNEL, &[&variant_name(self.gate, kind, self.tokens)])
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
