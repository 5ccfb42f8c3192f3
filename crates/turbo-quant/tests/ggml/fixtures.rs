//! Every type with expected values: decoded rows and multiplied-out planes, bit for bit.

use turbo_gguf::{GgmlType, GgufFile};
use turbo_quant::ggml::{decode_row, expand, plane_shape};
use turbo_testkit::fixture;

const TYPES: [&str; 26] = [
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ1_S",
    "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4",
];

/// Calls `check` with each row of each fixture tensor: label, type, bytes, expected values.
fn rows(mut check: impl FnMut(&str, GgmlType, &[u8], &[f32])) {
    for name in TYPES {
        let expected = std::fs::read(fixture(&format!("quant/{name}.f32"))).expect("values");
        let expected: Vec<f32> = expected.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect();
        let mut rest = expected.as_slice();
        let file = GgufFile::open(&fixture(&format!("quant/{name}.gguf"))).expect("a GGUF file");
        for tensor in file.tensors() {
            let ty = tensor.ggml_type().expect("a known type");
            assert_eq!(ty.name().to_uppercase(), name);
            let cols = tensor.cols() as usize;
            let row_bytes = ty.row_bytes(tensor.cols()).expect("whole blocks") as usize;
            let bytes = file.data(tensor).expect("the data is there");
            for (r, bytes) in bytes.chunks_exact(row_bytes).enumerate() {
                let (want, later) = rest.split_at(cols);
                rest = later;
                check(&format!("{name} {} row {r}", tensor.name), ty, bytes, want);
            }
        }
        assert!(rest.is_empty(), "{name}: every expected value was compared");
    }
}

fn assert_same_bits(label: &str, got: impl Iterator<Item = f32>, want: &[f32]) {
    for (i, (got, want)) in got.zip(want).enumerate() {
        assert_eq!(got.to_bits(), want.to_bits(), "{label} value {i}: got {got}, want {want}");
    }
}

#[test]
fn decoded_values_have_the_expected_bits() {
    let mut n_rows = 0;
    rows(|label, ty, bytes, want| {
        let mut got = vec![f32::NAN; want.len()];
        decode_row(ty, bytes, &mut got).expect("fixture rows are whole");
        assert_same_bits(label, got.into_iter(), want);
        n_rows += 1;
    });
    assert_eq!(n_rows, 3 * 16 + 23 * 20, "every row of every tensor");
}

#[test]
fn planes_multiplied_out_have_the_expected_bits() {
    rows(|label, ty, bytes, want| {
        let Some(shape) = plane_shape(ty) else { return };
        let (n, subs) = (want.len(), want.len() / shape.sub);
        let (mut codes, mut scales, mut mins) = (vec![0; n], vec![f32::NAN; subs], vec![f32::NAN; subs]);
        expand(ty, bytes, &mut codes, &mut scales, &mut mins);
        assert!(codes.iter().all(|&code| code >= -127), "{label}");
        assert!(shape.has_mins || mins.iter().all(|&min| min.to_bits() == 0), "{label}");
        let got = codes.iter().enumerate().map(|(i, &code)| {
            let product = scales[i / shape.sub] * f32::from(code);
            // Subtracting +0 changes nothing, not even the sign of a zero.
            product - mins[i / shape.sub]
        });
        // The one exception of the planes: a byte -128 comes out as -127.
        if ty == GgmlType::Q8_0 && has_minus_128(bytes) {
            for (i, (got, want)) in got.zip(want).enumerate() {
                let off_by_one = codes[i] == -127 && *want == -128.0 * scales[i / 32];
                assert!(got == *want || off_by_one, "{label} value {i}");
            }
        } else {
            assert_same_bits(label, got, want);
        }
    });
}

fn has_minus_128(q8_0: &[u8]) -> bool {
    q8_0.chunks_exact(34).any(|block| block[2..].contains(&0x80))
}
