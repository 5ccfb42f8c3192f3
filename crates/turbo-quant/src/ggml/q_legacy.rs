//! The formats with one scale per 32 values: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1; and Q8_K.
//!
//! Fields of a block in order (source: the `block_q*` structs of ggml): scale f16, for `_1` types
//! minimum f16, for 5-bit types 32 high bits, then the codes; value `j` of the first half sits in
//! the low nibble of byte `j`, of the second half in the high nibble.

use super::bits::{ONES, byte_mask, f16_at, field, u32_at};

/// Two rows of nibbles, minus `OFFSET`.
#[inline(always)]
fn nibbles<const OFFSET: u8>(packed: &[u8; 16], codes: &mut [i8; 32]) {
    for j in 0..16 {
        codes[j] = (packed[j] & 0xf).wrapping_sub(OFFSET) as i8;
        codes[j + 16] = (packed[j] >> 4).wrapping_sub(OFFSET) as i8;
    }
}

/// Nibbles with bit `j` of `high` as fifth bit of value `j`, minus `OFFSET`.
#[inline(always)]
fn five_bits<const OFFSET: u8>(packed: &[u8; 16], high: u32, codes: &mut [i8; 32]) {
    let mut fifth = [0; 32];
    let (groups, _) = fifth.as_chunks_mut::<8>();
    for (group, bits) in groups.iter_mut().zip(high.to_le_bytes()) {
        *group = (byte_mask(bits) & (0x10 * ONES)).to_le_bytes();
    }
    for j in 0..16 {
        codes[j] = (packed[j] & 0xf | fifth[j]).wrapping_sub(OFFSET) as i8;
        codes[j + 16] = (packed[j] >> 4 | fifth[j + 16]).wrapping_sub(OFFSET) as i8;
    }
}

/// value = scale * (code - 8).
#[inline(always)]
pub(super) fn q4_0(block: &[u8; 18], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = f16_at(block, 0);
    nibbles::<8>(field(block, 2), codes);
}

/// value = scale * code + minimum.
#[inline(always)]
pub(super) fn q4_1(
    block: &[u8; 20],
    codes: &mut [i8; 32],
    scales: &mut [f32; 1],
    mins: &mut [f32; 1],
) {
    scales[0] = f16_at(block, 0);
    mins[0] = -f16_at(block, 2);
    nibbles::<0>(field(block, 4), codes);
}

/// value = scale * (code - 16).
#[inline(always)]
pub(super) fn q5_0(block: &[u8; 22], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = f16_at(block, 0);
    five_bits::<16>(field(block, 6), u32_at(block, 2), codes);
}

/// value = scale * code + minimum.
#[inline(always)]
pub(super) fn q5_1(
    block: &[u8; 24],
    codes: &mut [i8; 32],
    scales: &mut [f32; 1],
    mins: &mut [f32; 1],
) {
    scales[0] = f16_at(block, 0);
    mins[0] = -f16_at(block, 2);
    five_bits::<0>(field(block, 8), u32_at(block, 4), codes);
}

/// value = scale * code.
#[inline(always)]
pub(super) fn q8_0(block: &[u8; 34], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = f16_at(block, 0);
    *codes = bytemuck::cast(*field::<32>(block, 2));
}

/// value = scale * code; the f16 at byte 2 is scale times the sum of the codes, a help for dot
/// products that the values do not need.
#[inline(always)]
pub(super) fn q8_1(block: &[u8; 36], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = f16_at(block, 0);
    *codes = bytemuck::cast(*field::<32>(block, 4));
}

/// value = scale * code, scale f32; after the codes come sums of 16 codes each, not needed here.
#[inline(always)]
pub(super) fn q8_k(block: &[u8; 292], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    *scales = [f32::from_le_bytes(*field(block, 0)); 8];
    *codes = bytemuck::cast(*field::<256>(block, 4));
}
