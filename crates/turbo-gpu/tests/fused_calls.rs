//! What the calls of products that do several things refuse, and how they say it.

mod support;

use turbo_backend::plan::Activation;
use turbo_gguf::GgmlType;
use turbo_gpu::matmul::{Codes, Gated, Joined, Residual, are_joinable, are_pair, makes_units};
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Gpu, GpuError, Recorder};

use support::gpu;

fn matrix(gpu: &Gpu, ty: GgmlType, (rows, cols): (usize, usize), most: usize) -> Matrix {
    let bytes = vec![0; rows * cols / ty.block_values() * ty.block_bytes()];
    Matrix::load_in_parts(gpu, "w", ty, (rows, cols), &bytes, most, &mut |_| {}).unwrap()
}

fn refused(gpu: &Gpu, part: &str, record: impl FnOnce(&mut Recorder<'_>) -> Result<(), GpuError>) {
    let message = record(&mut gpu.recorder("refused")).unwrap_err().to_string();
    assert!(message.contains(part), "{message}");
}

#[test]
fn which_matrices_go_together() {
    let Some(gpu) = gpu() else { return };
    let make = |ty, shape, most| matrix(&gpu, ty, shape, most);
    let whole = make(GgmlType::Q8_0, (64, 64), 64);
    assert!(makes_units(&whole) && makes_units(&make(GgmlType::Q8_0, (64, 64), 32)));
    assert!(!makes_units(&make(GgmlType::Q8_0, (64, 64), 16)), "a unit in two bindings");
    assert!(!makes_units(&make(GgmlType::Q8_0, (48, 64), 64)), "half a unit");
    assert!(!makes_units(&make(GgmlType::F32, (64, 64), 64)), "floats");
    let (other, narrow) = (make(GgmlType::Q4_0, (64, 64), 64), make(GgmlType::Q8_0, (64, 32), 64));
    assert!(are_pair(&whole, &whole) && !are_pair(&whole, &other) && !are_pair(&whole, &narrow));
    assert!(!are_pair(&whole, &make(GgmlType::Q8_0, (64, 64), 32)), "other bindings");
    let short = make(GgmlType::Q8_0, (3, 64), 64);
    assert!(are_joinable(&[&whole, &short]) && are_joinable(&[&whole, &short, &whole]));
    assert!(!are_joinable(&[&whole]) && !are_joinable(&[&whole, &other]) && !are_joinable(&[&whole, &narrow]));
    assert!(!are_joinable(&[&whole, &make(GgmlType::Q8_0, (64, 64), 32)]), "two bindings");
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let Some(gpu) = gpu() else { return };
    let (w, half) = (matrix(&gpu, GgmlType::Q8_0, (64, 64), 64), matrix(&gpu, GgmlType::Q8_0, (48, 64), 64));
    let (codes, next) = (Codes::new(&gpu, 2 * 64).unwrap(), Codes::new(&gpu, 2 * 64).unwrap());
    let (x, short) = (gpu.buffer::<f32>("x", 2 * 64).unwrap(), gpu.buffer::<f32>("short", 32).unwrap());
    let good = Residual {
        matrix: &w,
        input: codes.input(true),
        tokens: 2,
        x: x.bind(),
        weight: x.bind_range(0..64),
        next: &next,
        next_wide: false,
    };
    good.record(&mut gpu.recorder("good")).unwrap();
    let residual = |call: Residual<'_>, part: &str| refused(&gpu, part, |recorder| call.record(recorder));
    residual(Residual { tokens: 3, ..good }, "codes of another size for 3 tokens of 64 results");
    residual(Residual { matrix: &half, ..good }, "48 rows of q8_0 are not whole units of 32");
    residual(Residual { weight: short.bind(), ..good }, "a norm of 128 bytes for 64 rows");
    residual(Residual { x: short.bind(), ..good }, "2 rows of 64 values do not fit 128 bytes");
    residual(Residual { next: &codes, ..good }, "codes of the results in the place of those of the activations");
    let activation = Activation::Silu;
    let input = codes.input(false);
    let good = Gated { gate: &w, up: &w, activation, input, tokens: 2, next: &next, next_wide: true };
    good.record(&mut gpu.recorder("good")).unwrap();
    let gated = |call: Gated<'_>, part: &str| refused(&gpu, part, |recorder| call.record(recorder));
    gated(Gated { up: &half, ..good }, "64 x 64 of q8_0 and 48 x 64 of q8_0 are not alike, or the codes are wide");
    gated(Gated { input: codes.input(true), ..good }, "are not alike, or the codes are wide");
    gated(Gated { next: &codes, ..good }, "codes of the results in the place of those of the activations");
    let out = gpu.buffer::<f32>("out", 2 * 48).unwrap();
    let products = [(&w, x.bind()), (&half, out.bind())];
    let good = Joined { products: &products, input, tokens: 2 };
    good.record(&mut gpu.recorder("good")).unwrap();
    let joined = |call: Joined<'_>, part: &str| refused(&gpu, part, |recorder| call.record(recorder));
    joined(Joined { tokens: 3, ..good }, "codes of another size for 3 tokens of 64 values of q8_0");
    joined(Joined { input: codes.input(true), ..good }, "are not two or three alike, or the codes are wide");
    joined(Joined { products: &products[..1], ..good }, "64 x 64 of q8_0 are not two or three alike");
    joined(Joined { products: &[], ..good }, "there are no matrices");
    let swapped = [(&w, short.bind()), (&half, out.bind())];
    joined(Joined { products: &swapped, ..good }, "2 rows of 64 values do not fit 128 bytes");
}
