//! Products of weights with the activations of one token and of many, in the shapes of a model of 14 thousand million
//! weights.

use turbo_gguf::GgmlType;
use turbo_gpu::matmul::{Codes, Halves, Input, MatVec, Tiles, TilesInput, few_variant, half_variant, has_half_tiles};
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Buffer, Gpu, GpuError, Recorder};
use turbo_parity::Inputs;
use turbo_wgsl::{Kernel, Variant, matmul};

use crate::bench::{Bench, Subject};
use crate::count;
use crate::error::BenchError;

/// The types that are measured.
const TYPES: [GgmlType; 4] = [GgmlType::Q4_K, GgmlType::Q6_K, GgmlType::Q8_0, GgmlType::F16];

/// Rows and columns.
const SHAPES: [(usize, usize); 3] = [(17_408, 5120), (5120, 17_408), (5120, 5120)];

/// The same where little is to be measured.
const QUICK_SHAPES: [(usize, usize); 1] = [(128, 256)];

/// Columns of the matrix whose input models round to 16 bits: the second of a feed-forward layer.
const WIDE_COLS: usize = 17_408;

/// Tokens of the products by `matvec`.
const FEW: [usize; 4] = [1, 16, 32, 64];

/// The same where little is to be measured.
const QUICK_FEW: [usize; 2] = [1, 32];

/// Tokens of the products by tiles.
const MANY: [usize; 5] = [16, 32, 64, 128, 512];

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let quick = bench.options.quick;
    for ty in TYPES {
        for &shape in if quick { &QUICK_SHAPES[..] } else { &SHAPES[..] } {
            let (few, many) = if quick { (&QUICK_FEW[..], &MANY[1..2]) } else { (&FEW[..], &MANY[..]) };
            products(bench, ty, shape, few, many)?;
        }
    }
    Ok(())
}

/// What products take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Codes, or f32 for float weights, few tokens.
    Few,
    /// The same, many tokens.
    Many,
    Halves,
}

/// A matrix with activations of up to `tokens` tokens in all forms.
struct Data {
    matrix: Matrix,
    x: Buffer<f32>,
    codes: Codes,
    halves: Halves,
    out: Buffer<f32>,
}

impl Data {
    fn new(gpu: &Gpu, ty: GgmlType, (rows, cols): (usize, usize), tokens: usize) -> Result<Self, GpuError> {
        let mut random = Inputs::new(rows as u64);
        let words = rows * cols / ty.block_values() * ty.block_bytes() / 4;
        // Factors of blocks stay finite.
        let bytes: Vec<u8> = (0..words).flat_map(|_| (random.bits() & 0x3f3f_3f3f).to_le_bytes()).collect();
        let matrix = Matrix::load(gpu, "w", ty, (rows, cols), &bytes, &mut |_| {})?;
        let x = gpu.upload("x", &random.normals(tokens * cols))?;
        let codes = Codes::new(gpu, tokens * cols)?;
        let halves = Halves::new(gpu, tokens, cols)?;
        let out = gpu.buffer("out", tokens * rows)?;
        let data = Self { matrix, x, codes, halves, out };
        let mut recorder = gpu.recorder("activations");
        data.codes.record(&mut recorder, data.x.bind(), tokens * cols, cols == WIDE_COLS)?;
        if has_half_tiles(gpu) {
            data.halves.record(&mut recorder, data.x.bind(), (tokens, cols))?;
        }
        recorder.submit()?;
        Ok(data)
    }

    fn input(&self) -> Input<'_> {
        if self.matrix.is_quantised() {
            Input::Codes(self.codes.input(self.matrix.cols() == WIDE_COLS))
        } else {
            Input::Float(self.x.bind())
        }
    }

    fn record(
        &self,
        recorder: &mut Recorder<'_>,
        (form, variant): (Form, &'static Variant),
        tokens: usize,
    ) -> Result<(), GpuError> {
        let (matrix, tokens, bias, add) = (&self.matrix, tokens as u32, None, false);
        let (out, out_row) = (self.out.bind(), matrix.rows() as u32);
        let input = match form {
            Form::Few => {
                let call = MatVec { matrix, input: self.input(), tokens, bias, add, out, out_row };
                return call.record_with(recorder, variant);
            }
            Form::Many => self.input().into(),
            Form::Halves => TilesInput::Halves(&self.halves),
        };
        Tiles { matrix, input, tokens, bias, add, out, out_row }.record_with(recorder, variant)
    }
}

/// The kernel for a form.
fn kernel(ty: GgmlType, form: Form) -> &'static Kernel {
    match (form, ty == GgmlType::F16) {
        (Form::Few, false) => &matmul::matvec::KERNEL,
        (Form::Few, true) => &matmul::matvec_float::KERNEL,
        (Form::Many, false) => &matmul::tiles::KERNEL,
        (Form::Many, true) => &matmul::tiles_float::KERNEL,
        (Form::Halves, _) => &matmul::tiles_half::KERNEL,
    }
}

/// Name of the variant that is measured.
fn variant_name(gpu: &Gpu, ty: GgmlType, form: Form, (rows, cols): (usize, usize), tokens: usize) -> String {
    match form {
        Form::Few => few_variant(gpu, ty, (rows, cols), tokens as u32).map_or("", |v| v.name).to_owned(),
        Form::Many => ty.to_string(),
        Form::Halves => half_variant(gpu, ty, (rows as u32, tokens as u32)).map_or("", |v| v.name).to_owned(),
    }
}

fn products(
    bench: &mut Bench<'_>,
    ty: GgmlType,
    (rows, cols): (usize, usize),
    few: &[usize],
    many: &[usize],
) -> Result<(), BenchError> {
    let gpu = bench.gpu;
    let mut wanted = Vec::new();
    for (form, tokens) in [(Form::Few, few), (Form::Many, many), (Form::Halves, many)] {
        let kernel = kernel(ty, form);
        for &tokens in tokens {
            let Some(chosen) = kernel.variant(&variant_name(gpu, ty, form, (rows, cols), tokens)) else { continue };
            let variants = if form == Form::Halves { bench.variants(kernel, ty.name(), chosen) } else { vec![chosen] };
            let runs = |v: &&'static Variant| gpu.capabilities().unmet(v).is_none();
            wanted.extend(variants.into_iter().filter(runs).map(|variant| (form, variant, tokens)));
        }
    }
    wanted.retain(|(form, variant, _)| bench.options.wants(&Subject::of(kernel(ty, *form), variant).label()));
    let Some(most) = wanted.iter().map(|(_, _, tokens)| *tokens).max() else { return Ok(()) };
    let data = Data::new(gpu, ty, (rows, cols), most)?;
    for (form, variant, tokens) in wanted {
        let mut subject = Subject::of(kernel(ty, form), variant);
        subject.shape = format!("{tokens} x ({rows} x {cols})");
        subject.set(count::product(data.matrix.bytes(), (rows, cols), tokens));
        bench.measure(subject, |recorder| data.record(recorder, (form, variant), tokens))?;
    }
    Ok(())
}
