//! IQ2_XXS, IQ2_XS, IQ2_S: groups of eight values, each a grid point of magnitudes with signs.
//!
//! Sources: the `block_iq2_*` structs of ggml; the unpacking as stated by gguf/quants.py.

use super::bits::{byte_mask, even_mask, field, negate8, store8, u32_at, unpack_grid};
use super::cpu::Cpu;
use super::grid_iq2::{IQ2_S_PACKED, IQ2_XS_PACKED, IQ2_XXS_PACKED};

const LEVELS: [u8; 4] = [8, 25, 43, 0];

static IQ2_XXS_GRID: [u64; 256] = unpack_grid::<256, 2, 8>(&IQ2_XXS_PACKED, &LEVELS);
static IQ2_XS_GRID: [u64; 512] = unpack_grid::<512, 2, 8>(&IQ2_XS_PACKED, &LEVELS);
static IQ2_S_GRID: [u64; 1024] = unpack_grid::<1024, 2, 8>(&IQ2_S_PACKED, &LEVELS);

/// The scale of a sub-block from the block's scale and a 4-bit code.
#[inline(always)]
fn scale(d: f32, code: u8) -> f32 {
    d * (0.5 + f32::from(code)) * 0.25
}

/// Two 4-bit scales per byte, low nibble first.
#[inline(always)]
fn scales_of_16(d: f32, packed: &[u8; 8]) -> [f32; 16] {
    let mut scales = [0.0; 16];
    for (j, out) in scales.iter_mut().enumerate() {
        *out = scale(d, packed[j / 2] >> (4 * (j % 2)) & 0xf);
    }
    scales
}

/// Scale; per 32 values four grid indices of 8 bits, four sign sets of 7 bits, a 4-bit scale.
#[inline(always)]
pub(super) fn iq2_xxs(cpu: impl Cpu, block: &[u8; 66], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    let d = cpu.f16_at(block, 0);
    let (parts, _) = field::<64>(block, 2).as_chunks::<8>();
    let (runs, _) = codes.as_chunks_mut::<32>();
    for ((part, run), out) in parts.iter().zip(runs).zip(scales) {
        let word = u32_at(part, 4);
        *out = scale(d, (word >> 28) as u8);
        let (groups, _) = run.as_chunks_mut::<8>();
        for (k, group) in groups.iter_mut().enumerate() {
            let point = IQ2_XXS_GRID[usize::from(part[k])];
            store8(group, negate8(point, even_mask(word >> (7 * k))));
        }
    }
}

/// Scale; per eight values a word of 9 bits grid index and 7 bits signs; 4-bit scales per 16.
#[inline(always)]
pub(super) fn iq2_xs(cpu: impl Cpu, block: &[u8; 74], codes: &mut [i8; 256], scales: &mut [f32; 16]) {
    *scales = scales_of_16(cpu.f16_at(block, 0), field(block, 66));
    let (words, _) = field::<64>(block, 2).as_chunks::<2>();
    let (groups, _) = codes.as_chunks_mut::<8>();
    for (&word, group) in words.iter().zip(groups) {
        let word = u16::from_le_bytes(word);
        let point = IQ2_XS_GRID[usize::from(word & 511)];
        store8(group, negate8(point, even_mask(u32::from(word >> 9))));
    }
}

/// Scale; low 8 bits of the grid indices; signs, 8 bits per group; high 2 bits of the indices;
/// 4-bit scales per 16.
#[inline(always)]
pub(super) fn iq2_s(cpu: impl Cpu, block: &[u8; 82], codes: &mut [i8; 256], scales: &mut [f32; 16]) {
    *scales = scales_of_16(cpu.f16_at(block, 0), field(block, 74));
    let low: &[u8; 32] = field(block, 2);
    let signs: &[u8; 32] = field(block, 34);
    let high: &[u8; 8] = field(block, 66);
    let (groups, _) = codes.as_chunks_mut::<8>();
    for (g, group) in groups.iter_mut().enumerate() {
        let high = usize::from(high[g / 4] >> (2 * (g % 4)) & 3);
        store8(group, negate8(IQ2_S_GRID[usize::from(low[g]) | high << 8], byte_mask(signs[g])));
    }
}
