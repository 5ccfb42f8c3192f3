//! Rows of f32 values to f32, f16, bf16, q8_0 and q4_0, with the bits of ggml's reference encoders.

use half::{bf16, f16};
use turbo_gguf::GgmlType;

use super::{QuantError, check_row};

/// Encodes a row of values into `out`, which must have exactly the bytes of the row.
///
/// f16 and bf16 round to nearest even, infinities and NaN included. q8_0 and q4_0 give the bits
/// of `quantize_row_q8_0_ref` and `quantize_row_q4_0_ref` of ggml.
///
/// # Errors
/// [`QuantError::NoEncoder`] for other types; [`QuantError::PartialBlock`] and
/// [`QuantError::ByteCount`] for lengths that do not belong together; [`QuantError::OutOfRange`]
/// when q8_0 or q4_0 meets a value that is not finite or whose scale would overflow f16.
pub fn encode_row(ty: GgmlType, values: &[f32], out: &mut [u8]) -> Result<(), QuantError> {
    match ty {
        GgmlType::F32 => each(ty, values, out, f32::to_le_bytes),
        GgmlType::F16 => each(ty, values, out, |value| f16::from_f32(value).to_le_bytes()),
        GgmlType::BF16 => each(ty, values, out, |value| bf16::from_f32(value).to_le_bytes()),
        GgmlType::Q8_0 => blocks(ty, values, out, 127.0, q8_0),
        GgmlType::Q4_0 => blocks(ty, values, out, 8.0, q4_0),
        _ => Err(QuantError::NoEncoder { ty }),
    }
}

/// `N` bytes from each value.
fn each<const N: usize>(
    ty: GgmlType,
    values: &[f32],
    out: &mut [u8],
    bytes: impl Fn(f32) -> [u8; N],
) -> Result<(), QuantError> {
    check_row(ty, values.len(), out.len())?;
    let (words, _) = out.as_chunks_mut::<N>();
    for (word, &value) in words.iter_mut().zip(values) {
        *word = bytes(value);
    }
    Ok(())
}

/// One block of `B` bytes from each 32 values. The scale is the largest magnitude over `levels`.
fn blocks<const B: usize>(
    ty: GgmlType,
    values: &[f32],
    out: &mut [u8],
    levels: f32,
    block: impl Fn(&[f32; 32], &mut [u8; B]),
) -> Result<(), QuantError> {
    check_row(ty, values.len(), out.len())?;
    let limit = levels * f16::MAX.to_f32();
    if let Some(index) = values.iter().position(|value| value.is_nan() || value.abs() > limit) {
        return Err(QuantError::OutOfRange { ty, index, value: values[index], limit });
    }
    let (rows, _) = values.as_chunks::<32>();
    let (bytes, _) = out.as_chunks_mut::<B>();
    for (row, bytes) in rows.iter().zip(bytes) {
        block(row, bytes);
    }
    Ok(())
}

/// 1 / scale, or 0 for the scale of an all-zero block.
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Codes round half away from zero. Casts saturate, and take NaN (0 times the infinite inverse of
/// a scale below 2^-128) as 0.
fn q8_0(row: &[f32; 32], bytes: &mut [u8; 34]) {
    let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = inverse(scale);
    let (head, codes) = bytes.split_at_mut(2);
    head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    for (code, value) in codes.iter_mut().zip(row) {
        *code = (value * inverse).round() as i8 as u8;
    }
}

/// The value of largest magnitude (the first of equals) becomes -8; the others round to nearest,
/// half up.
fn q4_0(row: &[f32; 32], bytes: &mut [u8; 18]) {
    let largest = row.iter().fold(0.0_f32, |largest, &value| if value.abs() > largest.abs() { value } else { largest });
    let scale = largest / -8.0;
    let inverse = inverse(scale);
    let (head, codes) = bytes.split_at_mut(2);
    head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    let code = |value: f32| ((value * inverse + 8.5) as u8).min(15);
    for (j, byte) in codes.iter_mut().enumerate() {
        *byte = code(row[j]) | code(row[j + 16]) << 4;
    }
}
