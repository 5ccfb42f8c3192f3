//! The k-quants: 256 values with small integer scales per 16 or 32 values.
//!
//! Sources: the `block_q*_K` structs of ggml and the drawings of the packed scales in gguf/quants.py.

use super::bits::{f16_at, field};

/// Sixteen 4-bit scales (low nibbles) and minima (high nibbles), 2-bit codes, scale of the
/// scales, scale of the minima.
#[inline(always)]
pub(super) fn q2_k(
    block: &[u8; 84],
    codes: &mut [i8; 256],
    scales: &mut [f32; 16],
    mins: &mut [f32; 16],
) {
    let (d, dmin) = (f16_at(block, 80), f16_at(block, 82));
    let packed: &[u8; 16] = field(block, 0);
    for j in 0..16 {
        scales[j] = d * f32::from(packed[j] & 0xf);
        mins[j] = dmin * f32::from(packed[j] >> 4);
    }
    two_bits::<0>(field(block, 16), codes);
}

/// Codes of 2 bits, minus `OFFSET`: four runs of 32 values share 32 bytes, lowest bits first.
#[inline(always)]
pub(super) fn two_bits<const OFFSET: u8>(packed: &[u8; 64], codes: &mut [i8; 256]) {
    let (bytes, _) = packed.as_chunks::<32>();
    let (runs, _) = codes.as_chunks_mut::<128>();
    for (bytes, runs) in bytes.iter().zip(runs) {
        for l in 0..32 {
            runs[l] = (bytes[l] & 3).wrapping_sub(OFFSET) as i8;
            runs[l + 32] = (bytes[l] >> 2 & 3).wrapping_sub(OFFSET) as i8;
            runs[l + 64] = (bytes[l] >> 4 & 3).wrapping_sub(OFFSET) as i8;
            runs[l + 96] = (bytes[l] >> 6).wrapping_sub(OFFSET) as i8;
        }
    }
}

/// High bits (a clear bit subtracts 4), 2-bit codes, sixteen 6-bit scales minus 32, scale.
#[inline(always)]
pub(super) fn q3_k(block: &[u8; 110], codes: &mut [i8; 256], scales: &mut [f32; 16]) {
    let d = f16_at(block, 108);
    let packed: &[u8; 12] = field(block, 96);
    for (j, scale) in scales.iter_mut().enumerate() {
        let low = packed[j % 8] >> (4 * (j / 8)) & 0xf;
        let high = packed[8 + j % 4] >> (2 * (j / 4)) & 3;
        *scale = d * f32::from((low | high << 4) as i8 - 32);
    }
    two_bits::<0>(field(block, 32), codes);
    let high: &[u8; 32] = field(block, 0);
    let (runs, _) = codes.as_chunks_mut::<32>();
    for (bit, run) in runs.iter_mut().enumerate() {
        for (code, high) in run.iter_mut().zip(high) {
            *code = (*code as u8 | (high >> bit & 1) << 2).wrapping_sub(4) as i8;
        }
    }
}

/// The eight 6-bit scales and minima of Q4_K and Q5_K. Bytes 0 to 3 and 4 to 7 hold the first
/// four of each in their low 6 bits; the last four are split between bytes 8 to 11 (low 4 bits)
/// and the top 2 bits of the others.
#[inline(always)]
fn six_bit_pairs(block: &[u8], scales: &mut [f32; 8], mins: &mut [f32; 8]) {
    let (d, dmin) = (f16_at(block, 0), f16_at(block, 2));
    let low: [u8; 4] = *field(block, 4);
    let mid: [u8; 4] = *field(block, 8);
    let high: [u8; 4] = *field(block, 12);
    for j in 0..4 {
        scales[j] = d * f32::from(low[j] & 0x3f);
        mins[j] = dmin * f32::from(mid[j] & 0x3f);
        scales[j + 4] = d * f32::from(high[j] & 0xf | low[j] >> 6 << 4);
        mins[j + 4] = dmin * f32::from(high[j] >> 4 | mid[j] >> 6 << 4);
    }
}

/// Scale of the scales, scale of the minima, scales and minima, 4-bit codes (32 bytes hold two
/// runs of 32 values: low nibbles, then high).
#[inline(always)]
pub(super) fn q4_k(
    block: &[u8; 144],
    codes: &mut [i8; 256],
    scales: &mut [f32; 8],
    mins: &mut [f32; 8],
) {
    six_bit_pairs(block, scales, mins);
    let (bytes, _) = field::<128>(block, 16).as_chunks::<32>();
    let (runs, _) = codes.as_chunks_mut::<64>();
    for (bytes, runs) in bytes.iter().zip(runs) {
        for l in 0..32 {
            runs[l] = (bytes[l] & 0xf) as i8;
            runs[l + 32] = (bytes[l] >> 4) as i8;
        }
    }
}

/// Like Q4_K, with 32 bytes before the codes whose bit `r` is the fifth bit of run `r`.
#[inline(always)]
pub(super) fn q5_k(
    block: &[u8; 176],
    codes: &mut [i8; 256],
    scales: &mut [f32; 8],
    mins: &mut [f32; 8],
) {
    six_bit_pairs(block, scales, mins);
    let high: &[u8; 32] = field(block, 16);
    let (bytes, _) = field::<128>(block, 48).as_chunks::<32>();
    let (runs, _) = codes.as_chunks_mut::<64>();
    for (pair, (bytes, runs)) in bytes.iter().zip(runs).enumerate() {
        for l in 0..32 {
            let fifth = high[l] >> (2 * pair);
            runs[l] = (bytes[l] & 0xf | (fifth & 1) << 4) as i8;
            runs[l + 32] = (bytes[l] >> 4 | (fifth & 2) << 3) as i8;
        }
    }
}

/// Low 4 bits, high 2 bits, sixteen 8-bit scales, scale; value = scale * (code - 32).
#[inline(always)]
pub(super) fn q6_k(block: &[u8; 210], codes: &mut [i8; 256], scales: &mut [f32; 16]) {
    let d = f16_at(block, 208);
    let small: &[u8; 16] = field(block, 192);
    for (scale, &small) in scales.iter_mut().zip(small) {
        *scale = d * f32::from(small as i8);
    }
    let (low, _) = field::<128>(block, 0).as_chunks::<64>();
    let (high, _) = field::<64>(block, 128).as_chunks::<32>();
    let (runs, _) = codes.as_chunks_mut::<128>();
    for ((low, high), runs) in low.iter().zip(high).zip(runs) {
        for l in 0..32 {
            let (a, b, h) = (low[l], low[l + 32], high[l]);
            runs[l] = (a & 0xf | (h & 0x03) << 4).wrapping_sub(32) as i8;
            runs[l + 32] = (b & 0xf | (h & 0x0c) << 2).wrapping_sub(32) as i8;
            runs[l + 64] = (a >> 4 | h & 0x30).wrapping_sub(32) as i8;
            runs[l + 96] = (b >> 4 | (h & 0xc0) >> 2).wrapping_sub(32) as i8;
        }
    }
}
