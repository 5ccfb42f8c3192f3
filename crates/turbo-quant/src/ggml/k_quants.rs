//! The k-quants: 256 values with small integer scales per 16 or 32 values.
//!
//! Sources: the `block_q*_K` structs of ggml and the drawings of the packed scales in gguf/quants.py.

use super::bits::{codes_of, codes_of_two, field, u32_at};
use super::cpu::Cpu;

/// Sixteen 4-bit scales (low nibbles) and minima (high nibbles), 2-bit codes, scale of the
/// scales, scale of the minima.
#[inline(always)]
pub(super) fn q2_k(
    cpu: impl Cpu,
    block: &[u8; 84],
    codes: &mut [i8; 256],
    scales: &mut [f32; 16],
    mins: &mut [f32; 16],
) {
    let packed: &[u8; 16] = field(block, 0);
    *scales = scaled(cpu.f16_at(block, 80), codes_of(packed, |byte| byte & 0xf));
    *mins = scaled(cpu.f16_at(block, 82), codes_of(packed, |byte| byte >> 4));
    two_bits::<0>(field(block, 16), codes);
}

/// Small integer scales times the scale of the block.
#[inline(always)]
pub(super) fn scaled<const N: usize>(d: f32, small: [i8; N]) -> [f32; N] {
    let mut scales = [0.0; N];
    for (scale, small) in scales.iter_mut().zip(small) {
        *scale = d * f32::from(small);
    }
    scales
}

/// Codes of 2 bits, minus `OFFSET`: four runs of 32 values share 32 bytes, lowest bits first.
#[inline(always)]
pub(super) fn two_bits<const OFFSET: u8>(packed: &[u8; 64], codes: &mut [i8; 256]) {
    let (bytes, _) = packed.as_chunks::<32>();
    for (bytes, runs) in bytes.iter().zip(runs::<4>(codes)) {
        runs[0] = codes_of(bytes, |byte| (byte & 3).wrapping_sub(OFFSET));
        runs[1] = codes_of(bytes, |byte| (byte >> 2 & 3).wrapping_sub(OFFSET));
        runs[2] = codes_of(bytes, |byte| (byte >> 4 & 3).wrapping_sub(OFFSET));
        runs[3] = codes_of(bytes, |byte| (byte >> 6).wrapping_sub(OFFSET));
    }
}

/// The codes as groups of `R` runs of 32.
#[inline(always)]
fn runs<const R: usize>(codes: &mut [i8; 256]) -> &mut [[[i8; 32]; R]] {
    codes.as_chunks_mut::<32>().0.as_chunks_mut::<R>().0
}

/// High bits (a clear bit subtracts 4), 2-bit codes, sixteen 6-bit scales minus 32, scale.
#[inline(always)]
pub(super) fn q3_k(cpu: impl Cpu, block: &[u8; 110], codes: &mut [i8; 256], scales: &mut [f32; 16]) {
    *scales = scaled(cpu.f16_at(block, 108), q3_k_scales(field(block, 96)));
    let high: &[u8; 32] = field(block, 0);
    let (bytes, _) = field::<64>(block, 32).as_chunks::<32>();
    for (half, (bytes, runs)) in bytes.iter().zip(runs::<4>(codes)).enumerate() {
        let shift = 4 * half;
        let code = |low: u8, third: u8| (low | third << 2).wrapping_sub(4);
        runs[0] = codes_of_two(bytes, high, |b, h| code(b & 3, h >> shift & 1));
        runs[1] = codes_of_two(bytes, high, |b, h| code(b >> 2 & 3, h >> shift >> 1 & 1));
        runs[2] = codes_of_two(bytes, high, |b, h| code(b >> 4 & 3, h >> shift >> 2 & 1));
        runs[3] = codes_of_two(bytes, high, |b, h| code(b >> 6, h >> shift >> 3 & 1));
    }
}

/// The scales of Q3_K: low 4 bits in the nibbles of bytes 0 to 7 (low nibbles first), high 2 bits
/// in bytes 8 to 11, lowest bits first.
#[inline(always)]
fn q3_k_scales(packed: &[u8; 12]) -> [i8; 16] {
    let low = u64::from_le_bytes(*field(packed, 0));
    let low = u128::from(low & NIBBLES) | u128::from(low >> 4 & NIBBLES) << 64;
    let high = u128::from(u32::from_le_bytes(*field(packed, 8)));
    let high = high | high << 30 | high << 60 | high << 90;
    let pairs = 0x0303_0303_0303_0303_0303_0303_0303_0303;
    codes_of(&(low | (high & pairs) << 4).to_le_bytes(), |scale| scale.wrapping_sub(32))
}

/// The low nibble of each byte.
const NIBBLES: u64 = 0x0f0f_0f0f_0f0f_0f0f;

/// The eight 6-bit scales and minima of Q4_K and Q5_K. Bytes 0 to 3 and 4 to 7 hold the first
/// four of each in their low 6 bits; the last four are split between bytes 8 to 11 (low 4 bits,
/// scales in the low nibbles) and the top 2 bits of the others.
#[inline(always)]
fn six_bit_pairs(cpu: impl Cpu, block: &[u8], scales: &mut [f32; 8], mins: &mut [f32; 8]) {
    let firsts = [u32_at(block, 4), u32_at(block, 8)];
    let lasts = u32_at(block, 12);
    *scales = six_bits(cpu.f16_at(block, 0), firsts[0], lasts);
    *mins = six_bits(cpu.f16_at(block, 2), firsts[1], lasts >> 4);
}

/// `d` times four numbers in the low 6 bits of the bytes of `first`, then times four whose low 4
/// bits are in the low nibbles of `last` and whose high 2 bits are the top bits of `first`.
#[inline(always)]
fn six_bits(d: f32, first: u32, last: u32) -> [f32; 8] {
    let mut products = [0.0; 8];
    for j in 0..4 {
        let (first, last) = (first >> (8 * j), last >> (8 * j));
        products[j] = d * (first & 0x3f) as i32 as f32;
        products[j + 4] = d * (last & 0xf | first >> 2 & 0x30) as i32 as f32;
    }
    products
}

/// Scale of the scales, scale of the minima, scales and minima, 4-bit codes (32 bytes hold two
/// runs of 32 values: low nibbles, then high).
#[inline(always)]
pub(super) fn q4_k(
    cpu: impl Cpu,
    block: &[u8; 144],
    codes: &mut [i8; 256],
    scales: &mut [f32; 8],
    mins: &mut [f32; 8],
) {
    six_bit_pairs(cpu, block, scales, mins);
    let (bytes, _) = field::<128>(block, 16).as_chunks::<32>();
    for (bytes, runs) in bytes.iter().zip(runs::<2>(codes)) {
        runs[0] = codes_of(bytes, |byte| byte & 0xf);
        runs[1] = codes_of(bytes, |byte| byte >> 4);
    }
}

/// Like Q4_K, with 32 bytes before the codes whose bit `r` is the fifth bit of run `r`.
#[inline(always)]
pub(super) fn q5_k(
    cpu: impl Cpu,
    block: &[u8; 176],
    codes: &mut [i8; 256],
    scales: &mut [f32; 8],
    mins: &mut [f32; 8],
) {
    six_bit_pairs(cpu, block, scales, mins);
    let high: &[u8; 32] = field(block, 16);
    let (bytes, _) = field::<128>(block, 48).as_chunks::<32>();
    for (pair, (bytes, runs)) in bytes.iter().zip(runs::<2>(codes)).enumerate() {
        let shift = 2 * pair;
        runs[0] = codes_of_two(bytes, high, |b, h| b & 0xf | (h >> shift & 1) << 4);
        runs[1] = codes_of_two(bytes, high, |b, h| b >> 4 | (h >> shift & 2) << 3);
    }
}

/// Low 4 bits, high 2 bits, sixteen 8-bit scales, scale; value = scale * (code - 32).
#[inline(always)]
pub(super) fn q6_k(cpu: impl Cpu, block: &[u8; 210], codes: &mut [i8; 256], scales: &mut [f32; 16]) {
    *scales = scaled(cpu.f16_at(block, 208), bytemuck::cast(*field::<16>(block, 192)));
    let (low, _) = field::<128>(block, 0).as_chunks::<32>();
    let (low, _) = low.as_chunks::<2>();
    let (high, _) = field::<64>(block, 128).as_chunks::<32>();
    for (([a, b], high), runs) in low.iter().zip(high).zip(runs::<4>(codes)) {
        runs[0] = codes_of_two(a, high, |a, h| (a & 0xf | (h & 0x03) << 4).wrapping_sub(32));
        runs[1] = codes_of_two(b, high, |b, h| (b & 0xf | (h & 0x0c) << 2).wrapping_sub(32));
        runs[2] = codes_of_two(a, high, |a, h| (a >> 4 | h & 0x30).wrapping_sub(32));
        runs[3] = codes_of_two(b, high, |b, h| (b >> 4 | (h & 0xc0) >> 2).wrapping_sub(32));
    }
}
