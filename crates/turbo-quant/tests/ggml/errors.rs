//! What users read when a row cannot be decoded or encoded.

use turbo_gguf::GgmlType;
use turbo_quant::ggml::{decode_row, encode_row};

#[test]
fn a_row_must_be_whole_blocks() {
    let error = decode_row(GgmlType::Q4_K, &[0; 144], &mut [0.0; 255]).unwrap_err();
    assert_eq!(error.to_string(), "a row of type q4_K cannot hold 255 values: expected a multiple of 256");
}

#[test]
fn bytes_must_fit_the_values() {
    let error = decode_row(GgmlType::Q6_K, &[0; 200], &mut [0.0; 512]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "512 values of type q6_K given with 200 bytes: expected 420 bytes (210 per block of 256)"
    );
    let error = encode_row(GgmlType::Q8_0, &[0.0; 32], &mut [0; 33]).unwrap_err();
    assert_eq!(error.to_string(), "32 values of type q8_0 given with 33 bytes: expected 34 bytes (34 per block of 32)");
}

#[test]
fn types_without_an_encoder_are_named() {
    let error = encode_row(GgmlType::IQ2_XS, &[0.0; 256], &mut [0; 74]).unwrap_err();
    assert_eq!(error.to_string(), "cannot encode to type iq2_xs: choose one of f32, f16, bf16, q8_0, q4_0");
}

#[test]
fn values_that_do_not_fit_are_named() {
    let mut values = [1.0; 64];
    values[40] = f32::NAN;
    let error = encode_row(GgmlType::Q4_0, &values, &mut [0; 36]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot encode value 40 (NaN) to type q4_0: \
         expected a finite value of magnitude at most 5.24032e5"
    );
    values[3] = f32::NEG_INFINITY;
    let error = encode_row(GgmlType::Q8_0, &values, &mut [0; 68]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot encode value 3 (-inf) to type q8_0: \
         expected a finite value of magnitude at most 8.319008e6"
    );
}
