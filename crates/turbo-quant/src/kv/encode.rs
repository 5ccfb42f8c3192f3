//! Heads to codes and scales: `docs/exact-attention.md` section 4.

use super::pack::{pack_high, pack2, pack4, pack8};
use super::{Fault, check_lengths, turbo_table};
use crate::kv_type::{KvType, rotation_groups};
use crate::simd::Isa;
use crate::turbo::exact::{
    F16_OVERFLOW, exponent_field, f16_from_f32, f16_in_range, f16_parts, f16_scale, f16_scale_of_max, scale_pow2,
    sum_of_squares,
};
use crate::turbo::rotate::{Direction, Normalised, normalise, rotate, rotate_scaled};
use crate::turbo::tables::Table;

/// Exponent field from which a head is encoded twice, first to see whether a scale overflows.
///
/// Below it every value is under 2^8, every group norm under 2^12 and every scale under 2^13.
const LARGE_FIELD: u32 = 127 + 8;

/// Encodes one head (after rope, not rotated).
///
/// `codes` takes `ty.code_words(d)` words, `scales` takes `ty.scale_blocks(d)` f16 bits. On a fault
/// neither is written.
///
/// # Errors
/// [`Fault::NonFinite`] for inf or nan; [`Fault::Overflow`] when a scale (f16: a value) is beyond f16.
///
/// # Panics
/// When `ty` cannot hold a head of `head.len()` values, or a length does not fit it.
pub fn encode_head(ty: KvType, head: &[f32], codes: &mut [u32], scales: &mut [u16]) -> Result<(), Fault> {
    check_lengths(ty, head.len(), codes.len(), Some(scales.len()));
    crate::simd::encode_head(ty, head, codes, scales)
}

#[inline(always)]
pub(crate) fn encode_head_body<I: Isa>(
    ty: KvType,
    head: &[f32],
    codes: &mut [u32],
    scales: &mut [u16],
) -> Result<(), Fault> {
    let mut field = 0;
    for &v in head {
        field = field.max(exponent_field(v));
    }
    if field == 255 {
        return Err(Fault::NonFinite);
    }
    if ty == KvType::F16 {
        return encode_f16(head, codes);
    }
    if field >= LARGE_FIELD {
        check_scales::<I>(ty, head)?;
    }
    let low_words = head.len() * ty.low_bits() / 32;
    let (mut low, mut high) = codes.split_at_mut(low_words);
    let (mut scales, mut rest) = (scales, head);
    for n in rotation_groups(head.len()) {
        let (group, after) = rest.split_at(n);
        rest = after;
        let planes = Planes {
            low: split_off(&mut low, n * ty.low_bits() / 32),
            high: split_off(&mut high, if ty == KvType::Turbo3 { n.div_ceil(32) } else { 0 }),
            scales: split_off(&mut scales, ty.scale_blocks(n)),
        };
        encode_group::<I>(ty, group, planes)?;
    }
    Ok(())
}

/// Where the codes and scales of one group go.
struct Planes<'a> {
    low: &'a mut [u32],
    high: &'a mut [u32],
    scales: &'a mut [u16],
}

#[inline(always)]
fn split_off<'a, T>(slice: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(slice).split_at_mut(count);
    *slice = tail;
    head
}

/// Encodes every group to nowhere, to learn whether one overflows.
#[cold]
#[inline(never)]
fn check_scales<I: Isa>(ty: KvType, head: &[f32]) -> Result<(), Fault> {
    let mut rest = head;
    for n in rotation_groups(head.len()) {
        let (group, after) = rest.split_at(n);
        rest = after;
        let planes = Planes { low: &mut [0; 32], high: &mut [0; 4], scales: &mut [0; 4] };
        encode_group::<I>(ty, group, planes)?;
    }
    Ok(())
}

#[inline(always)]
fn encode_f16(head: &[f32], codes: &mut [u32]) -> Result<(), Fault> {
    let mut largest = 0;
    for v in head {
        largest = largest.max(v.to_bits() & 0x7fff_ffff);
    }
    if largest >= F16_OVERFLOW {
        return Err(Fault::Overflow);
    }
    for (word, pair) in codes.iter_mut().zip(head.as_chunks::<2>().0) {
        *word = u32::from(f16_in_range(pair[0])) | u32::from(f16_in_range(pair[1])) << 16;
    }
    Ok(())
}

#[inline(always)]
fn encode_group<I: Isa>(ty: KvType, group: &[f32], planes: Planes<'_>) -> Result<(), Fault> {
    match group.len() {
        128 => encode_group_of::<I, 128>(ty, group, planes),
        64 => encode_group_of::<I, 64>(ty, group, planes),
        32 => encode_group_of::<I, 32>(ty, group, planes),
        _ => encode_group_of::<I, 16>(ty, group, planes),
    }
}

#[inline(always)]
fn encode_group_of<I: Isa, const N: usize>(ty: KvType, group: &[f32], planes: Planes<'_>) -> Result<(), Fault> {
    let group = group.first_chunk::<N>().and_then(normalise).ok_or(Fault::NonFinite)?;
    let Some(table) = turbo_table(ty, N) else {
        return match (ty, N) {
            (KvType::Q8_0, 16) => encode_q8::<I, N, 16>(group, planes),
            (KvType::Q8_0, _) => encode_q8::<I, N, 32>(group, planes),
            (_, 16) => encode_q4::<I, N, 16>(group, planes),
            _ => encode_q4::<I, N, 32>(group, planes),
        };
    };
    let mut codes = [0; N];
    planes.scales[0] = match ty {
        KvType::Turbo4 => encode_turbo::<I, N, 8>(group, table, &mut codes),
        KvType::Turbo3 => encode_turbo::<I, N, 4>(group, table, &mut codes),
        _ => encode_turbo::<I, N, 2>(group, table, &mut codes),
    }?;
    match ty {
        KvType::Turbo4 => pack4(&codes, planes.low),
        _ => pack2(&codes, planes.low),
    }
    pack_high(&codes, planes.high);
    Ok(())
}

/// Lloyd-Max codes of one group, one per byte, with H positive levels; returns the scale's f16 bits.
#[inline(always)]
fn encode_turbo<I: Isa, const N: usize, const H: usize>(
    group: Normalised<N>,
    table: &Table,
    codes: &mut [u8; N],
) -> Result<u16, Fault> {
    let mut y = group.values;
    let ss = sum_of_squares(&y);
    rotate::<I, N>(&mut y, Direction::Forward);
    let mut limits = [0.0; H];
    let mut steps = [0; H];
    let square = |k: usize| u32::from(table.half[k].unsigned_abs()).pow(2);
    for k in 0..H - 1 {
        limits[k] = table.t2[k] * ss;
        steps[k] = square(k + 1) - square(k);
    }
    let mut power = N as u32 * square(0);
    for i in 0..N {
        let y2 = y[i] * y[i];
        let mut m = 0;
        for k in 0..H - 1 {
            let above = y2 > limits[k];
            m += u32::from(above);
            power += if above { steps[k] } else { 0 };
        }
        let h = H as u32;
        codes[i] = if y[i] < 0.0 { h - 1 - m } else { h + m } as u8;
    }
    f16_scale(ss, power, table.shift + group.exponent()).ok_or(Fault::Overflow)
}

/// The integers nearest |y| * 2^exponent / D for D = m * 2^q, ties to the larger, at most `largest`.
#[inline(always)]
fn nearest<const B: usize>(y: &[f32; B], exponent: i32, scale: u16, largest: i32) -> [i8; B] {
    let mut out = [0; B];
    let (m, q) = f16_parts(scale);
    if m == 0 {
        return out;
    }
    let (divisor, k) = (m as i32 as f32, exponent - q + 1);
    for i in 0..B {
        // Integers below 2^24: the truncated f32 quotient is the integer quotient.
        let twice = trunc(scale_pow2(y[i].abs(), k));
        let quotient = trunc(twice as f32 / divisor);
        let level = ((quotient + 1) >> 1).min(largest);
        out[i] = if y[i] < 0.0 { -level } else { level } as i8;
    }
    out
}

/// The integer part of 0 <= x < 2^23, by dropping bits: no range check as in a cast.
#[inline(always)]
fn trunc(x: f32) -> i32 {
    let drop = 150 - exponent_field(x) as i32;
    let mantissa = (x.to_bits() & 0x007f_ffff | 0x0080_0000) as i32;
    if drop > 31 { 0 } else { mantissa >> drop }
}

#[inline(always)]
fn max_magnitude<const B: usize>(y: &[f32; B]) -> f32 {
    let mut bits = 0;
    for v in y {
        bits = bits.max(v.to_bits() & 0x7fff_ffff);
    }
    f32::from_bits(bits)
}

/// q8_0 of one group, in scale blocks of B values.
#[inline(always)]
fn encode_q8<I: Isa, const N: usize, const B: usize>(
    mut group: Normalised<N>,
    planes: Planes<'_>,
) -> Result<(), Fault> {
    rotate_scaled::<I, N>(&mut group, Direction::Forward);
    let exponent = group.exponent();
    let blocks = group.values.as_chunks::<B>().0.iter().zip(planes.low.chunks_exact_mut(B / 4));
    for ((y, words), stored) in blocks.zip(planes.scales) {
        let scale = f16_scale_of_max(max_magnitude(y), exponent).ok_or(Fault::Overflow)?;
        *stored = scale;
        pack8(&nearest(y, exponent, scale, 127), words);
    }
    Ok(())
}

/// q4_0 of one group, in scale blocks of B values.
#[inline(always)]
fn encode_q4<I: Isa, const N: usize, const B: usize>(
    mut group: Normalised<N>,
    planes: Planes<'_>,
) -> Result<(), Fault> {
    rotate_scaled::<I, N>(&mut group, Direction::Forward);
    let exponent = group.exponent();
    let blocks = group.values.as_chunks::<B>().0.iter().zip(planes.low.chunks_exact_mut(B / 8));
    for ((y, words), stored) in blocks.zip(planes.scales) {
        let max = max_magnitude(y);
        let scale = f16_from_f32(scale_pow2(max, exponent - 3)).ok_or(Fault::Overflow)?;
        // The value of largest magnitude gets level -8, so a positive one negates the scale.
        let negate = y.iter().find(|v| v.abs() == max).is_some_and(|&v| v > 0.0) && scale != 0;
        *stored = scale | u16::from(negate) << 15;
        let levels = nearest(y, exponent, scale, 8);
        let mut codes = [0; B];
        for i in 0..B {
            let level = if negate { -levels[i] } else { levels[i] };
            codes[i] = (8 + level.min(7)) as u8;
        }
        pack4(&codes, words);
    }
    Ok(())
}
