//! The formats with one scale per 32 values: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1; and Q8_K.
//!
//! Fields of a block in order (source: the `block_q*` structs of ggml): scale f16, for `_1` types
//! minimum f16, for 5-bit types 32 high bits, then the codes; value `j` of the first half sits in
//! the low nibble of byte `j`, of the second half in the high nibble.

use super::bits::{codes_of, codes_of_two, field, u32_at};
use super::cpu::Cpu;

/// Nibbles minus `OFFSET`: the low ones, then the high ones.
#[inline(always)]
fn nibbles<const OFFSET: u8>(packed: &[u8; 16], codes: &mut [i8; 32]) {
    let (halves, _) = codes.as_chunks_mut::<16>();
    halves[0] = codes_of(packed, |byte| (byte & 0xf).wrapping_sub(OFFSET));
    halves[1] = codes_of(packed, |byte| (byte >> 4).wrapping_sub(OFFSET));
}

/// Nibbles with bit `j` of `high` as fifth bit of value `j`, minus `OFFSET`.
#[inline(always)]
fn five_bits<const OFFSET: u8>(cpu: impl Cpu, packed: &[u8; 16], high: u32, codes: &mut [i8; 32]) {
    let masks = cpu.byte_mask(high);
    let (masks, _) = masks.as_chunks::<16>();
    let (halves, _) = codes.as_chunks_mut::<16>();
    let fifth = |low: u8, mask: u8| (low | mask & 0x10).wrapping_sub(OFFSET);
    halves[0] = codes_of_two(packed, &masks[0], |byte, mask| fifth(byte & 0xf, mask));
    halves[1] = codes_of_two(packed, &masks[1], |byte, mask| fifth(byte >> 4, mask));
}

/// value = scale * (code - 8).
#[inline(always)]
pub(super) fn q4_0(cpu: impl Cpu, block: &[u8; 18], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = cpu.f16_at(block, 0);
    nibbles::<8>(field(block, 2), codes);
}

/// value = scale * code + minimum.
#[inline(always)]
pub(super) fn q4_1(cpu: impl Cpu, block: &[u8; 20], codes: &mut [i8; 32], scales: &mut [f32; 1], mins: &mut [f32; 1]) {
    scales[0] = cpu.f16_at(block, 0);
    mins[0] = -cpu.f16_at(block, 2);
    nibbles::<0>(field(block, 4), codes);
}

/// value = scale * (code - 16).
#[inline(always)]
pub(super) fn q5_0(cpu: impl Cpu, block: &[u8; 22], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = cpu.f16_at(block, 0);
    five_bits::<16>(cpu, field(block, 6), u32_at(block, 2), codes);
}

/// value = scale * code + minimum.
#[inline(always)]
pub(super) fn q5_1(cpu: impl Cpu, block: &[u8; 24], codes: &mut [i8; 32], scales: &mut [f32; 1], mins: &mut [f32; 1]) {
    scales[0] = cpu.f16_at(block, 0);
    mins[0] = -cpu.f16_at(block, 2);
    five_bits::<0>(cpu, field(block, 8), u32_at(block, 4), codes);
}

/// value = scale * code.
#[inline(always)]
pub(super) fn q8_0(cpu: impl Cpu, block: &[u8; 34], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = cpu.f16_at(block, 0);
    *codes = bytemuck::cast(*field::<32>(block, 2));
}

/// value = scale * code; the f16 at byte 2 is scale times the sum of the codes, a help for dot
/// products that the values do not need.
#[inline(always)]
pub(super) fn q8_1(cpu: impl Cpu, block: &[u8; 36], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = cpu.f16_at(block, 0);
    *codes = bytemuck::cast(*field::<32>(block, 4));
}

/// value = scale * code, scale f32; after the codes come sums of 16 codes each, not needed here.
#[inline(always)]
pub(super) fn q8_k(_: impl Cpu, block: &[u8; 292], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    *scales = [f32::from_le_bytes(*field(block, 0)); 8];
    *codes = bytemuck::cast(*field::<256>(block, 4));
}
