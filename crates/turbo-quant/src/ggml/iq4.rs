//! IQ4_NL and IQ4_XS: 4-bit codes that name one of 16 unevenly spaced levels.
//!
//! Sources: the `block_iq4_*` structs of ggml; levels and unpacking as stated by gguf/quants.py.

use super::bits::{field, u16_at};
use super::cpu::Cpu;

/// What the codes of IQ4_NL and IQ4_XS stand for.
pub const IQ4_LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Scale, 16 bytes of codes.
#[inline(always)]
pub(super) fn iq4_nl(cpu: impl Cpu, block: &[u8; 18], codes: &mut [i8; 32], scales: &mut [f32; 1]) {
    scales[0] = cpu.f16_at(block, 0);
    cpu.nibbles(&IQ4_LEVELS, field(block, 2), codes);
}

/// Scale; per 32 values a 6-bit scale minus 32 (high 2 bits in one word, low 4 bits in nibbles);
/// codes, 16 bytes per 32 values.
#[inline(always)]
pub(super) fn iq4_xs(cpu: impl Cpu, block: &[u8; 136], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    let (d, high) = (cpu.f16_at(block, 0), u16_at(block, 2));
    let low: &[u8; 4] = field(block, 4);
    for (j, out) in scales.iter_mut().enumerate() {
        let low = low[j / 2] >> (4 * (j % 2)) & 0xf;
        let high = (high >> (2 * j) & 3) as u8;
        *out = d * f32::from((low | high << 4) as i8 - 32);
    }
    let (packed, _) = field::<128>(block, 8).as_chunks::<16>();
    let (runs, _) = codes.as_chunks_mut::<32>();
    for (packed, run) in packed.iter().zip(runs) {
        cpu.nibbles(&IQ4_LEVELS, packed, run);
    }
}
