//! IQ1_S and IQ1_M: groups of eight values, each a ternary grid point plus or minus 1/8.
//!
//! The shift belongs to a group of eight while the scale belongs to 16 or 32 values, so it goes
//! into the codes: scale * (point +- 1/8) = (scale / 8) * (8 point +- 1), exactly. Codes are
//! -9, -7, -1, 1, 7, 9 and no minimum is needed.
//!
//! Sources: the `block_iq1_*` structs of ggml; the unpacking as stated by gguf/quants.py.

use super::bits::{ONES, add8, field, store8, u16_at, unpack_grid};
use super::cpu::Cpu;
use super::grid_iq1::IQ1_PACKED;

/// Eight times the coordinates of each point.
static IQ1_GRID: [u64; 2048] = unpack_grid::<2048, 2, 8>(&IQ1_PACKED, &[(-8_i8) as u8, 0, 8, 0]);

/// The eight codes of one group.
#[inline(always)]
fn group_codes(index: usize, minus: bool) -> u64 {
    add8(IQ1_GRID[index], if minus { 0xff * ONES } else { ONES })
}

/// The scale of a sub-block: an odd multiple of the block's scale, over 8.
#[inline(always)]
fn scale(d: f32, code: u16) -> f32 {
    d * f32::from(2 * (code & 7) + 1) * 0.125
}

/// Scale; low 8 bits of the grid indices; per 32 values a word of four times 3 high bits, a 3-bit
/// scale and the sign of the shift.
#[inline(always)]
pub(super) fn iq1_s(cpu: impl Cpu, block: &[u8; 50], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    let d = cpu.f16_at(block, 0);
    let (low, _) = field::<32>(block, 2).as_chunks::<4>();
    let (words, _) = field::<16>(block, 34).as_chunks::<2>();
    let (runs, _) = codes.as_chunks_mut::<32>();
    for (((low, &word), run), out) in low.iter().zip(words).zip(runs).zip(scales) {
        let word = u16::from_le_bytes(word);
        *out = scale(d, word >> 12);
        let (groups, _) = run.as_chunks_mut::<8>();
        for (k, group) in groups.iter_mut().enumerate() {
            let index = usize::from(low[k]) | usize::from(word >> (3 * k) & 7) << 8;
            store8(group, group_codes(index, word >> 15 == 1));
        }
    }
}

/// Low 8 bits of the grid indices; per group a nibble of 3 high bits and the sign of the shift;
/// four words of four 3-bit scales, with a nibble of the block's f16 scale at the top of each.
#[inline(always)]
pub(super) fn iq1_m(cpu: impl Cpu, block: &[u8; 56], codes: &mut [i8; 256], scales: &mut [f32; 16]) {
    let words = [0, 1, 2, 3].map(|w| u16_at(block, 48 + 2 * w));
    let bits = words[0] >> 12 | words[1] >> 12 << 4 | words[2] >> 12 << 8 | words[3] >> 12 << 12;
    let d = cpu.widen(bits);
    let mut small = [0.0; 16];
    for (j, out) in small.iter_mut().enumerate() {
        *out = scale(d, words[j / 4] >> (3 * (j % 4)));
    }
    *scales = small;
    let low: &[u8; 32] = field(block, 0);
    let high: &[u8; 16] = field(block, 32);
    let (groups, _) = codes.as_chunks_mut::<8>();
    for (g, group) in groups.iter_mut().enumerate() {
        let nibble = high[g / 2] >> (4 * (g % 2));
        let index = usize::from(low[g]) | usize::from(nibble & 7) << 8;
        store8(group, group_codes(index, nibble & 8 != 0));
    }
}
