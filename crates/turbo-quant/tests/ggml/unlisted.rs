//! Types without fixtures: Q8_1 and Q8_K (ggml's own activations) and plain numbers.

use turbo_gguf::GgmlType;
use turbo_quant::ggml::decode_row;

fn decoded(ty: GgmlType, bytes: &[u8], values: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; values];
    decode_row(ty, bytes, &mut out).expect("a whole row");
    out
}

#[test]
fn q8_1_is_scale_times_code() {
    let mut bytes = half::f16::from_f32(0.25).to_le_bytes().to_vec();
    bytes.extend(half::f16::from_f32(99.0).to_le_bytes());
    bytes.extend((-128..127).step_by(8).map(|code: i32| code as u8));
    let want: Vec<f32> = (-128..127).step_by(8).map(|code: i32| 0.25 * code as f32).collect();
    assert_eq!(decoded(GgmlType::Q8_1, &bytes, 32), want);
}

#[test]
fn q8_k_is_scale_times_code() {
    let mut bytes = 1e-3_f32.to_le_bytes().to_vec();
    bytes.extend((-128..128).map(|code: i32| code as u8));
    bytes.extend([0x77; 32]);
    let want: Vec<f32> = (-128..128).map(|code: i32| 1e-3 * code as f32).collect();
    assert_eq!(decoded(GgmlType::Q8_K, &bytes, 256), want);
}

#[test]
fn plain_numbers_convert() {
    assert_eq!(decoded(GgmlType::I8, &[0x80, 5], 2), [-128.0, 5.0]);
    assert_eq!(decoded(GgmlType::I16, &(-300_i16).to_le_bytes(), 1), [-300.0]);
    assert_eq!(decoded(GgmlType::I32, &16_777_217_i32.to_le_bytes(), 1), [16_777_216.0]);
    assert_eq!(decoded(GgmlType::I64, &(-9_i64).to_le_bytes(), 1), [-9.0]);
    assert_eq!(decoded(GgmlType::F64, &0.1_f64.to_le_bytes(), 1), [0.1]);
    assert_eq!(decoded(GgmlType::F64, &1e300_f64.to_le_bytes(), 1), [f32::INFINITY]);
}

#[test]
fn an_empty_row_is_fine() {
    for &ty in GgmlType::ALL {
        assert!(decoded(ty, &[], 0).is_empty());
    }
}
