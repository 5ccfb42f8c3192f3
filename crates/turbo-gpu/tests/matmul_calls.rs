//! What the calls of products refuse, and how they say it.

mod support;

use turbo_gguf::GgmlType;
use turbo_gpu::matmul::{Codes, Halves, Input, MatVec, Tiles, TilesInput, has_half_tiles};
use turbo_gpu::weights::Matrix;
use turbo_gpu::{Gpu, GpuError};

use support::gpu;

fn matrix(gpu: &Gpu, ty: GgmlType) -> Matrix {
    let bytes = vec![0; 3 * 64 / ty.block_values() * ty.block_bytes()];
    Matrix::load(gpu, "w", ty, (3, 64), &bytes, &mut |_| {}).unwrap()
}

#[test]
fn products_that_do_not_fit_are_refused() {
    let Some(gpu) = gpu() else { return };
    let (quantised, floats) = (matrix(&gpu, GgmlType::Q8_0), matrix(&gpu, GgmlType::F32));
    let codes = Codes::new(&gpu, 20 * 64).unwrap();
    let x = gpu.buffer::<f32>("x", 20 * 64).unwrap();
    let out = gpu.buffer::<f32>("out", 20 * 4).unwrap();
    let short = gpu.buffer::<f32>("short", 2).unwrap();
    let input = TilesInput::Codes(codes.input(true));
    let good = Tiles { matrix: &quantised, input, tokens: 20, bias: None, add: false, out: out.bind(), out_row: 4 };
    good.record(&mut gpu.recorder("good")).unwrap();
    let refused = |call: Tiles<'_>, kernel: &str, part: &str| {
        let message = call.record(&mut gpu.recorder("refused")).unwrap_err().to_string();
        assert!(message.contains(kernel) && message.contains(part), "{message}");
    };
    let tiles = "kernel tiles[q8_0]: ";
    refused(Tiles { tokens: 21, ..good }, tiles, "codes of another size for 21 tokens of 64 values of q8_0");
    refused(Tiles { out_row: 2, ..good }, tiles, "20 rows of 2 values do not fit 320 bytes");
    refused(Tiles { out_row: 5, ..good }, tiles, "20 rows of 5 values do not fit 320 bytes");
    let bias = Some(short.bind_range(0..2));
    refused(Tiles { bias, ..good }, tiles, "a bias of 8 bytes for 3 rows");
    let float = Tiles { matrix: &floats, input: TilesInput::Float(x.bind()), ..good };
    float.record(&mut gpu.recorder("good")).unwrap();
    let kernel = "kernel tiles_float[f32]: ";
    refused(Tiles { tokens: 21, ..float }, kernel, "floats of another size for 21 tokens of 64 values of f32");
    refused(Tiles { input, ..float }, "matmul/tiles: there is no tiles[f32]", "cannot run");
    let few = MatVec {
        matrix: &quantised,
        input: Input::Codes(codes.input(false)),
        tokens: 2,
        bias: None,
        add: false,
        out: out.bind(),
        out_row: 2,
    };
    let message = few.record(&mut gpu.recorder("refused")).unwrap_err().to_string();
    assert_eq!(message, "kernel matvec[q8_0,t4,l32]: 2 rows of 2 values do not fit 320 bytes");
}

#[test]
fn halves_that_do_not_fit_are_refused() {
    let Some(gpu) = gpu() else { return };
    let (halves, floats) = (Halves::new(&gpu, 20, 64).unwrap(), matrix(&gpu, GgmlType::F32));
    let x = gpu.buffer::<f32>("x", 20 * 64).unwrap();
    let out = gpu.buffer::<f32>("out", 21 * 3).unwrap();
    let record = |size| halves.record(&mut gpu.recorder("halves"), x.bind(), size);
    let message = |size| record(size).unwrap_err().to_string();
    assert_eq!(
        message((21, 64)),
        "kernel matmul/halves: 21 tokens of 64 values of 5120 bytes into halves of 20 tokens, 2560 values"
    );
    assert!(message((20, 65)).contains("20 tokens of 65 values"));
    assert!(message((20, 0)).contains("20 tokens of 0 values"));
    match record((20, 64)) {
        Err(GpuError::Unsupported { kernel, .. }) => assert_eq!(kernel, "matmul/halves"),
        recorded => recorded.unwrap(),
    }
    let input = TilesInput::Halves(&halves);
    let call = Tiles { matrix: &floats, input, tokens: 21, bias: None, add: false, out: out.bind(), out_row: 3 };
    let message = call.record(&mut gpu.recorder("refused")).unwrap_err().to_string();
    if has_half_tiles(&gpu) {
        assert!(message.ends_with("halves of another size for 21 tokens of 64 values"), "{message}");
    } else {
        assert!(message.contains("cannot run matmul/tiles_half: tiles_half[f32,coop16"), "{message}");
    }
}
