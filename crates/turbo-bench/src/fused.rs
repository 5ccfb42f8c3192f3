//! Products for few tokens that are done together or whose results go on as codes, in the shapes of a layer of models of 14
//! and of 0.6 thousand million weights.

use turbo_backend::plan::Activation;
use turbo_gguf::GgmlType;
use turbo_gpu::matmul::{Codes, Gated, Joined, Residual};
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Buffer, Gpu, GpuError, Recorder};
use turbo_parity::Inputs;
use turbo_wgsl::{Kernel, Variant, matmul};

use crate::bench::{Bench, Subject};
use crate::count;
use crate::error::BenchError;

/// What is done with the results.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Joined,
    Residual,
    Gated,
}

/// Rows of every matrix, columns, and whether codes of the input are wide.
type Shape = (&'static [usize], usize, bool);

/// A layer: query, key and value; output; gate and up; down.
const LARGE: [(End, Shape); 4] = [
    (End::Joined, (&[5120, 1024, 1024], 5120, false)),
    (End::Residual, (&[5120], 5120, false)),
    (End::Gated, (&[17_408, 17_408], 5120, false)),
    (End::Residual, (&[5120], 17_408, true)),
];
const SMALL: [(End, Shape); 4] = [
    (End::Joined, (&[2048, 1024, 1024], 1024, false)),
    (End::Residual, (&[1024], 2048, false)),
    (End::Gated, (&[3072, 3072], 1024, false)),
    (End::Residual, (&[1024], 3072, true)),
];
const QUICK: [(End, Shape); 3] = [
    (End::Joined, (&[64, 32], 256, false)),
    (End::Residual, (&[64], 256, true)),
    (End::Gated, (&[64, 64], 256, false)),
];

/// Tokens that are measured.
const TOKENS: [usize; 2] = [1, 4];

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let sets: &[(GgmlType, &[(End, Shape)])] = if bench.options.quick {
        &[(GgmlType::Q4_K, &QUICK)]
    } else {
        &[(GgmlType::Q4_K, &LARGE), (GgmlType::Q6_K, &LARGE), (GgmlType::Q8_0, &LARGE), (GgmlType::Q8_0, &SMALL)]
    };
    for &(ty, products) in sets {
        for &(end, shape) in products {
            product(bench, ty, end, shape)?;
        }
    }
    Ok(())
}

/// Matrices with activations, and what takes the results.
struct Data {
    end: End,
    wide: bool,
    matrices: Vec<Matrix>,
    outs: Vec<Buffer<f32>>,
    codes: Codes,
    weight: Buffer<f32>,
    next: Codes,
}

impl Data {
    fn new(gpu: &Gpu, ty: GgmlType, end: End, (rows, cols, wide): Shape, tokens: usize) -> Result<Self, GpuError> {
        let mut random = Inputs::new(cols as u64);
        let mut matrices = Vec::new();
        for &rows in rows {
            let words = rows * cols / ty.block_values() * ty.block_bytes() / 4;
            // Factors of blocks stay finite.
            let bytes: Vec<u8> = (0..words).flat_map(|_| (random.bits() & 0x3f3f_3f3f).to_le_bytes()).collect();
            matrices.push(Matrix::load(gpu, "w", ty, (rows, cols), &bytes, &mut |_| {})?);
        }
        let outs = rows.iter().map(|rows| gpu.buffer("out", tokens * rows)).collect::<Result<_, _>>()?;
        let (codes, next) = (Codes::new(gpu, tokens * cols)?, Codes::new(gpu, tokens * rows[0])?);
        let weight = gpu.upload("weight", &random.normals(rows[0]))?;
        let x = gpu.upload("x", &random.normals(tokens * cols))?;
        let mut recorder = gpu.recorder("activations");
        codes.record(&mut recorder, x.bind(), tokens * cols, wide)?;
        recorder.submit()?;
        Ok(Self { end, wide, matrices, outs, codes, weight, next })
    }

    fn record(&self, recorder: &mut Recorder<'_>, variant: &'static Variant, tokens: usize) -> Result<(), GpuError> {
        let (input, tokens, next, matrix) = (self.codes.input(self.wide), tokens as u32, &self.next, &self.matrices[0]);
        match self.end {
            End::Joined => {
                let products: Vec<_> = self.matrices.iter().zip(&self.outs).map(|(m, out)| (m, out.bind())).collect();
                Joined { products: &products, input: input.normed(1e-6), tokens }.record_with(recorder, variant)
            }
            End::Residual => {
                let (x, weight) = (self.outs[0].bind(), self.weight.bind());
                let call = Residual { matrix, input, tokens, x, weight, next, next_wide: false };
                call.record_with(recorder, variant)
            }
            End::Gated => {
                let (up, input) = (&self.matrices[1], input.normed(1e-6));
                let activation = Activation::Silu;
                let call = Gated { gate: matrix, up, activation, input, tokens, next, next_wide: true };
                call.record_with(recorder, variant)
            }
        }
    }
}

fn product(bench: &mut Bench<'_>, ty: GgmlType, end: End, shape: Shape) -> Result<(), BenchError> {
    let gpu = bench.gpu;
    let kernel: &'static Kernel = match end {
        End::Joined => &matmul::matvec_joined::KERNEL,
        End::Residual => &matmul::matvec_residual::KERNEL,
        End::Gated => &matmul::matvec_gated::KERNEL,
    };
    let kind = if end == End::Gated { ",silu" } else { "" };
    let mut wanted = Vec::new();
    for tokens in TOKENS {
        let prefix = format!("{ty}{kind},t{tokens}");
        let variants = kernel.variants.iter().filter(|v| v.name.starts_with(&prefix));
        wanted.extend(variants.filter(|v| gpu.capabilities().unmet(v).is_none()).map(|v| (v, tokens)));
    }
    wanted.retain(|(variant, _)| bench.options.wants(&Subject::of(kernel, variant).label()));
    let Some(most) = wanted.iter().map(|(_, tokens)| *tokens).max() else { return Ok(()) };
    let data = Data::new(gpu, ty, end, shape, most)?;
    let (rows, bytes) = (shape.0.iter().sum(), data.matrices.iter().map(Matrix::bytes).sum());
    for (variant, tokens) in wanted {
        let mut subject = Subject::of(kernel, variant);
        subject.shape = format!("{tokens} x ({rows} x {})", shape.1);
        subject.set(count::product(bytes, (rows, shape.1), tokens));
        bench.measure(subject, |recorder| data.record(recorder, variant, tokens))?;
    }
    Ok(())
}
