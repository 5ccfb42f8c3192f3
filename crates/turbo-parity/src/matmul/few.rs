//! What the kernels that do several things for few tokens are tried on.

use turbo_cpu::matmul::WeightRef;
use turbo_gguf::GgmlType;
use turbo_gpu::matmul::Codes;
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Gpu, GpuError, Recorder};
use turbo_wgsl::Variant;

use super::problem::{coded, tokens_of, type_of};
use super::weights::weights;
use crate::{Effort, Inputs};

/// Rows of the output, a multiple of 32, and units of 32 columns; types with blocks of 256 take the next multiple of 8.
const SHAPES: [(usize, usize); 4] = [(32, 1), (64, 17), (96, 40), (160, 96)];

/// Whether quick effort leaves `variant` out: units of every type are tried by `matmul/matvec`, here a few types do.
pub(super) fn is_extra(variant: &Variant) -> bool {
    let few = [GgmlType::Q8_0, GgmlType::Q4_K, GgmlType::Q3_K];
    type_of(variant).is_none_or(|ty| !few.contains(&ty))
}

/// What the norms add.
pub(super) const EPS: f32 = 1e-6;

/// Activations of some tokens, for a matrix of this shape.
pub(super) struct Few {
    pub(super) ty: GgmlType,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) tokens: usize,
    /// What every device rounds to the same codes.
    pub(super) x: Vec<f32>,
    pub(super) codes: Codes,
    pub(super) inputs: Inputs,
}

/// A matrix on both sides.
pub(super) struct Both {
    bytes: Vec<u8>,
    pub(super) matrix: Matrix,
}

impl Both {
    pub(super) fn twin(&self) -> WeightRef<'_> {
        let Self { matrix, bytes } = self;
        WeightRef { ty: matrix.ty(), rows: matrix.rows(), cols: matrix.cols(), data: bytes }
    }
}

impl Few {
    /// The problems of a variant.
    pub(super) fn all(
        gpu: &Gpu,
        variant: &'static Variant,
        effort: Effort,
    ) -> impl Iterator<Item = Result<Self, GpuError>> {
        let most = tokens_of(variant);
        let shapes = type_of(variant).into_iter().flat_map(|ty| SHAPES.map(|shape| (ty, shape)));
        let tokens = effort.of([1, most + 1], [most, 2 * most]);
        shapes.flat_map(move |(ty, shape)| tokens.map(|tokens| Self::new(gpu, ty, shape, tokens)))
    }

    fn new(gpu: &Gpu, ty: GgmlType, (rows, units): (usize, usize), tokens: usize) -> Result<Self, GpuError> {
        let cols = (units * 32).next_multiple_of(ty.block_values());
        let mut inputs = Inputs::new((rows * 1000 + cols + tokens) as u64);
        let x = coded(tokens * cols, &mut inputs);
        Ok(Self { ty, rows, cols, tokens, x, codes: Codes::new(gpu, tokens * cols)?, inputs })
    }

    /// A matrix of the type with `rows` rows, at most `most` of them in a binding.
    pub(super) fn matrix(&mut self, gpu: &Gpu, rows: usize, most: usize) -> Result<Both, GpuError> {
        let bytes = weights(self.ty, rows * self.cols, &mut self.inputs);
        let matrix = Matrix::load_in_parts(gpu, "w", self.ty, (rows, self.cols), &bytes, most, &mut |_| {})?;
        Ok(Both { bytes, matrix })
    }

    /// Records the codes of the activations, as a norm whose weights are one if `normed`.
    pub(super) fn record(
        &self,
        gpu: &Gpu,
        recorder: &mut Recorder<'_>,
        (wide, normed): (bool, bool),
    ) -> Result<(), GpuError> {
        let x = gpu.upload("x", &self.x)?;
        if normed {
            let ones = gpu.upload("ones", &vec![1.0_f32; self.cols])?;
            let shape = (self.tokens as u32, self.cols as u32);
            self.codes.record_normed(recorder, (x.bind(), ones.bind()), shape, wide)
        } else {
            self.codes.record(recorder, x.bind(), self.tokens * self.cols, wide)
        }
    }
}
