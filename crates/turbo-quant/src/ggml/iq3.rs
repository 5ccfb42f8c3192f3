//! IQ3_XXS and IQ3_S: groups of eight values, each two grid points of four magnitudes, with signs.
//!
//! Sources: the `block_iq3_*` structs of ggml; the unpacking as stated by gguf/quants.py.

use super::bits::{byte_mask, even_mask, field, negate8, store8, unpack_grid};
use super::cpu::Cpu;
use super::grid_iq3::{IQ3_S_PACKED, IQ3_XXS_PACKED};

static IQ3_XXS_GRID: [u64; 256] = unpack_grid::<256, 4, 4>(&IQ3_XXS_PACKED, &[4, 12, 20, 28, 36, 44, 52, 62]);
static IQ3_S_GRID: [u64; 512] = unpack_grid::<512, 4, 4>(&IQ3_S_PACKED, &[1, 3, 5, 7, 9, 11, 13, 15]);

/// Scale; 64 grid indices of 8 bits; per 32 values four sign sets of 7 bits and a 4-bit scale.
#[inline(always)]
pub(super) fn iq3_xxs(cpu: impl Cpu, block: &[u8; 98], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    let d = cpu.f16_at(block, 0);
    let (indices, _) = field::<64>(block, 2).as_chunks::<8>();
    let (words, _) = field::<32>(block, 66).as_chunks::<4>();
    let (runs, _) = codes.as_chunks_mut::<32>();
    for (((index, &word), run), out) in indices.iter().zip(words).zip(runs).zip(scales) {
        let word = u32::from_le_bytes(word);
        *out = d * (0.5 + (word >> 28) as f32) * 0.5;
        let (groups, _) = run.as_chunks_mut::<8>();
        for (k, group) in groups.iter_mut().enumerate() {
            let low = IQ3_XXS_GRID[usize::from(index[2 * k])];
            let high = IQ3_XXS_GRID[usize::from(index[2 * k + 1])];
            store8(group, negate8(low | high << 32, even_mask(word >> (7 * k))));
        }
    }
}

/// Scale; 64 grid indices of 8 bits; their ninth bits, a byte per 32 values; signs, 8 bits per
/// group; a 4-bit scale s per 32 values that stands for 2 s + 1.
#[inline(always)]
pub(super) fn iq3_s(cpu: impl Cpu, block: &[u8; 110], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    let d = cpu.f16_at(block, 0);
    let (indices, _) = field::<64>(block, 2).as_chunks::<8>();
    let ninth: &[u8; 8] = field(block, 66);
    let (signs, _) = field::<32>(block, 74).as_chunks::<4>();
    let small: &[u8; 4] = field(block, 106);
    let (runs, _) = codes.as_chunks_mut::<32>();
    for (r, ((index, run), out)) in indices.iter().zip(runs).zip(scales).enumerate() {
        *out = d * f32::from(2 * (small[r / 2] >> (4 * (r % 2)) & 0xf) + 1);
        let point = |k: usize| IQ3_S_GRID[usize::from(index[k]) | usize::from(ninth[r] >> k & 1) << 8];
        let (groups, _) = run.as_chunks_mut::<8>();
        for (k, group) in groups.iter_mut().enumerate() {
            store8(group, negate8(point(2 * k) | point(2 * k + 1) << 32, byte_mask(signs[r][k])));
        }
    }
}
