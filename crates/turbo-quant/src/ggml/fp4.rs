//! MXFP4 and NVFP4: 4-bit floating-point codes (E2M1) with 8-bit floating-point scales.
//!
//! The levels are twice the E2M1 values, which makes them integers; the scales are halved.
//! Sources: OCP Microscaling Formats (MX) 1.0; `block_mxfp4`, `block_nvfp4` and the scale
//! conversions of ggml (NVFP4 keeps 16 values per scale, low nibbles first).

use super::bits::{ONES, field};
use super::cpu::Cpu;

/// What the codes of MXFP4 and NVFP4 stand for.
pub const FP4_LEVELS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Half of 2^(exponent - 127). The two smallest results are subnormal.
#[inline(always)]
fn half_e8m0(exponent: u8) -> f32 {
    let exponent = u32::from(exponent);
    f32::from_bits(if exponent < 2 { 0x0020_0000 << exponent } else { (exponent - 1) << 23 })
}

/// Half of an unsigned E4M3 number (bias 7); the top bit is not used, and ggml reads 0x7f (NaN
/// in E4M3) as zero.
#[inline(always)]
fn half_ue4m3(code: u8) -> f32 {
    const TWO_POW_119: f32 = f32::from_bits((119 + 127) << 23);
    // Shifted into place, the exponent is 120 too small; the product is exact, subnormals too.
    let value = f32::from_bits(u32::from(code & 0x7f) << 20) * TWO_POW_119;
    if code == 0x7f { 0.0 } else { value }
}

/// Exponent byte of the scale, 16 bytes of codes.
#[inline(always)]
pub(super) fn mxfp4(cpu: impl Cpu, block: &[u8; 17], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = half_e8m0(block[0]);
    cpu.nibbles(&FP4_LEVELS, field(block, 1), codes);
}

/// Four scales, then 8 bytes of codes for each.
#[inline(always)]
pub(super) fn nvfp4(cpu: impl Cpu, block: &[u8; 36], codes: &mut [i8; 64], scales: &mut [f32; 4]) {
    for (scale, &code) in scales.iter_mut().zip(field::<4>(block, 0)) {
        *scale = half_ue4m3(code);
    }
    let (packed, _) = field::<32>(block, 4).as_chunks::<8>();
    let (runs, _) = codes.as_chunks_mut::<16>();
    for (packed, run) in packed.iter().zip(runs) {
        // Low nibbles in the low half of a word, high nibbles in the high half.
        let word = u128::from(u64::from_le_bytes(*packed));
        let indices = (word | word << 60) & (0x0f * u128::from(ONES) * ((1 << 64) + 1));
        *run = cpu.look_up(&FP4_LEVELS, indices.to_le_bytes());
    }
}
