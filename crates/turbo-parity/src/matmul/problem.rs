//! What the kernels for many tokens are tried on.

use turbo_cpu::matmul::WeightRef;
use turbo_gguf::GgmlType;
use turbo_gpu::matmul::{Tiles, TilesInput};
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Buffer, Gpu, GpuError};
use turbo_wgsl::Variant;

use super::weights::weights;
use crate::{Effort, Inputs};

/// Rows, columns and tokens; types with blocks take the next multiple of theirs.
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 32, 1),
    (3, 96, 2),
    (17, 256, 65),
    (65, 288, 33),
    (64, 64, 64),
    (130, 160, 70),
    (129, 512, 17),
    (200, 1024, 129),
    (300, 320, 200),
];

/// Those that software adapters do quickly.
const QUICK: usize = 5;

/// A product to be done.
pub(super) struct Problem {
    pub(super) ty: GgmlType,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) tokens: usize,
    bytes: Vec<u8>,
    pub(super) x: Vec<f32>,
    pub(super) bias: Vec<f32>,
    /// What the output holds already.
    pub(super) before: Vec<f32>,
    pub(super) matrix: Matrix,
    pub(super) from: Buffer<f32>,
    with_bias: Buffer<f32>,
    out: Buffer<f32>,
}

/// Values between the outputs of two tokens that belong to none.
const GAP: usize = 3;

impl Problem {
    /// The problems of a type: every second has its matrix in two or more bindings.
    pub(super) fn all(gpu: &Gpu, ty: GgmlType, effort: Effort) -> impl Iterator<Item = Result<Self, GpuError>> {
        let shapes = &SHAPES[..effort.of(QUICK, SHAPES.len())];
        shapes.iter().enumerate().map(move |(index, &shape)| {
            let part_rows = if index % 2 == 1 { shape.0 / 2 + 1 } else { usize::MAX };
            Self::new(gpu, ty, shape, part_rows)
        })
    }

    fn new(gpu: &Gpu, ty: GgmlType, shape: (usize, usize, usize), part_rows: usize) -> Result<Self, GpuError> {
        let (rows, cols, tokens) = shape;
        // Floats have no blocks: a part of a unit of 32 columns at the end.
        let cols = if ty.block_values() == 1 { cols - 20 } else { cols.next_multiple_of(ty.block_values()) };
        let mut inputs = Inputs::new((rows * 1000 + cols + tokens) as u64);
        let bytes = weights(ty, rows * cols, &mut inputs);
        let mut x =
            if ty.block_values() == 1 { inputs.normals(tokens * cols) } else { coded(tokens * cols, &mut inputs) };
        // Tokens of very different size.
        for (token, x) in x.chunks_exact_mut(cols).enumerate() {
            let factor = if token == 0 { 1.0 } else { [1.0, 0.001_953_125, 64.0][token % 3] };
            x.iter_mut().for_each(|x| *x *= factor);
        }
        let (bias, before) = (inputs.normals(rows), inputs.normals(tokens * (rows + GAP)));
        let matrix = Matrix::load_in_parts(gpu, "w", ty, (rows, cols), &bytes, part_rows, &mut |_| {})?;
        let (from, with_bias) = (gpu.upload("x", &x)?, gpu.upload("bias", &bias)?);
        let out = gpu.upload("out", &before)?;
        Ok(Self { ty, rows, cols, tokens, bytes, x, bias, before, matrix, from, with_bias, out })
    }

    /// The matrix for the twin.
    pub(super) fn weights(&self) -> WeightRef<'_> {
        WeightRef { ty: self.ty, rows: self.rows, cols: self.cols, data: &self.bytes }
    }

    /// The product by `variant`, after what `prepare` records; it is added to what the output holds if `add` says so.
    pub(super) fn on_gpu<'a>(
        &'a self,
        gpu: &Gpu,
        variant: &'static Variant,
        input: TilesInput<'a>,
        add: bool,
        prepare: impl FnOnce(&mut turbo_gpu::Recorder<'_>) -> Result<(), GpuError>,
    ) -> Result<Vec<f32>, GpuError> {
        let mut recorder = gpu.recorder("tiles");
        prepare(&mut recorder)?;
        let call = Tiles {
            matrix: &self.matrix,
            input,
            tokens: self.tokens as u32,
            bias: (!add).then(|| self.with_bias.bind()),
            add,
            out: self.out.bind(),
            out_row: (self.rows + GAP) as u32,
        };
        call.record_with(&mut recorder, variant)?;
        recorder.submit()?;
        let got = gpu.download(&self.out, 0..self.before.len())?;
        gpu.write(&self.out, 0, &self.before)?;
        Ok(got)
    }

    /// What the output is to hold, by `products` without and with a bias.
    pub(super) fn wanted(&self, add: bool, products: impl FnOnce(Option<&[f32]>) -> Vec<f64>) -> Vec<f64> {
        let mut want: Vec<f64> = self.before.iter().map(|&before| f64::from(before)).collect();
        let sums = products((!add).then_some(&self.bias[..]));
        for (want, sums) in want.chunks_exact_mut(self.rows + GAP).zip(sums.chunks_exact(self.rows)) {
            for (want, sum) in want.iter_mut().zip(sums) {
                *want = if add { *want + sum } else { *sum };
            }
        }
        want
    }
}

/// `n` values, a multiple of 32, that every device rounds to the same codes: of 16 bits without an error, of 8 bits far
/// from the middle between two. One that went another way would hide all other errors.
pub(super) fn coded(n: usize, inputs: &mut Inputs) -> Vec<f32> {
    let mut x: Vec<f32> = (0..n)
        .map(|_| {
            let (first, fine) = (inputs.below(253) as i32 - 126, inputs.below(129) as i32 - 64);
            (256 * first + fine) as f32 / 16_384.0
        })
        .collect();
    // The largest of every unit is the largest code.
    x.iter_mut().step_by(32).for_each(|x| *x = (127.0_f32 * 256.0 / 16_384.0).copysign(*x));
    x
}

/// The type that the name of a variant begins with.
pub(crate) fn type_of(variant: &Variant) -> Option<GgmlType> {
    let name = variant.name.split(',').next().unwrap_or_default();
    GgmlType::ALL.iter().copied().find(|ty| ty.name() == name)
}

/// Tokens of a workgroup of a variant for few.
pub(super) fn tokens_of(variant: &Variant) -> usize {
    variant.name.split(',').filter_map(|option| option.strip_prefix('t')).find_map(|n| n.parse().ok()).unwrap_or(1)
}

/// Values as f64.
pub(super) fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}
