//! Rows of any ggml type to f32 values.

use turbo_gguf::GgmlType;

use super::bits::f16_bits;
use super::cpu::Cpu;
use super::format::{Visit, visit};
use super::{QuantError, check_row};

/// Decodes a row of `out.len()` values. The results equal ggml's conversion bit for bit; integers
/// and f64 are rounded to the nearest f32. Infinite and NaN scales give infinite and NaN values.
///
/// # Errors
/// [`QuantError::PartialBlock`] and [`QuantError::ByteCount`] when `bytes` and `out` are not the
/// same whole number of blocks.
pub fn decode_row(ty: GgmlType, bytes: &[u8], out: &mut [f32]) -> Result<(), QuantError> {
    check_row(ty, out.len(), bytes.len())?;
    match ty {
        GgmlType::F32 => each(bytes, out, f32::from_le_bytes),
        GgmlType::F16 => each(bytes, out, |b| f16_bits(u16::from_le_bytes(b))),
        GgmlType::BF16 => {
            each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16));
        }
        GgmlType::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        GgmlType::I8 => each(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
        GgmlType::I16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
        GgmlType::I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
        GgmlType::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
        _ => {
            let decoded = visit(ty, Decode { bytes, out });
            debug_assert!(decoded.is_some(), "{ty} is in the list of formats");
        }
    }
    Ok(())
}

/// One value from each `N` bytes.
fn each<const N: usize>(bytes: &[u8], out: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    let (words, _) = bytes.as_chunks::<N>();
    for (out, &word) in out.iter_mut().zip(words) {
        *out = value(word);
    }
}

/// Sixteen codes times their scale: every scale covers a multiple of 16 values.
#[inline(always)]
fn multiplied(codes: &[i8; 16], scale: f32) -> [f32; 16] {
    let mut values = [0.0; 16];
    for (value, &code) in values.iter_mut().zip(codes) {
        *value = scale * f32::from(code);
    }
    values
}

struct Decode<'a> {
    bytes: &'a [u8],
    out: &'a mut [f32],
}

impl Visit for Decode<'_> {
    type Out = ();

    fn symmetric<const B: usize, const V: usize, const S: usize>(
        self,
        cpu: impl Cpu,
        unpack: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S]),
    ) {
        let (blocks, _) = self.bytes.as_chunks::<B>();
        let (rows, _) = self.out.as_chunks_mut::<V>();
        let (mut codes, mut scales) = ([0; V], [0.0; S]);
        cpu.run(
            #[inline(always)]
            || {
                for (block, row) in blocks.iter().zip(rows) {
                    unpack(block, &mut codes, &mut scales);
                    let (parts, _) = row.as_chunks_mut::<16>();
                    for (p, (out, codes)) in parts.iter_mut().zip(codes.as_chunks().0).enumerate() {
                        *out = multiplied(codes, scales[16 * p / (V / S)]);
                    }
                }
            },
        );
    }

    fn with_mins<const B: usize, const V: usize, const S: usize>(
        self,
        cpu: impl Cpu,
        unpack: impl Fn(&[u8; B], &mut [i8; V], &mut [f32; S], &mut [f32; S]),
    ) {
        let (blocks, _) = self.bytes.as_chunks::<B>();
        let (rows, _) = self.out.as_chunks_mut::<V>();
        let (mut codes, mut scales, mut mins) = ([0; V], [0.0; S], [0.0; S]);
        cpu.run(
            #[inline(always)]
            || {
                for (block, row) in blocks.iter().zip(rows) {
                    unpack(block, &mut codes, &mut scales, &mut mins);
                    let (parts, _) = row.as_chunks_mut::<16>();
                    for (p, (out, codes)) in parts.iter_mut().zip(codes.as_chunks().0).enumerate() {
                        let sub = 16 * p / (V / S);
                        *out = multiplied(codes, scales[sub]);
                        let min = mins[sub];
                        out.iter_mut().for_each(|value| *value -= min);
                    }
                }
            },
        );
    }
}
