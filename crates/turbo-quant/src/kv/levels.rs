//! Codes to integer levels: what attention expands every key and value of every token to.

use super::{check_lengths, turbo_table};
use crate::kv_type::{KvType, rotation_groups};
use crate::simd::Isa;

/// The levels of q4_0's codes.
static Q4_LEVELS: [i8; 16] = [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7];

/// Expands the codes of one head to `head_dim` integer levels.
///
/// # Panics
/// For f16, which has no codes, and when a length does not fit the type and `head_dim`.
pub fn levels_head(ty: KvType, head_dim: usize, codes: &[u32], out: &mut [i8]) {
    assert!(ty.is_coded(), "{ty} has no codes");
    check_lengths(ty, head_dim, codes.len(), None);
    assert_eq!(out.len(), head_dim, "levels of a head of {head_dim} values");
    crate::simd::levels_head(ty, codes, out);
}

#[inline(always)]
pub(crate) fn levels_head_body<I: Isa>(ty: KvType, codes: &[u32], out: &mut [i8]) {
    let (mut low, mut high) = codes.split_at(out.len() * ty.low_bits() / 32);
    let mut rest = out;
    for n in rotation_groups(rest.len()) {
        let (levels, after) = rest.split_at_mut(n);
        let (group_low, low_after) = low.split_at(n * ty.low_bits() / 32);
        let (group_high, high_after) = high.split_at(n.div_ceil(32).min(high.len()));
        I::expand(ty, n, group_low, group_high, levels);
        (low, high, rest) = (low_after, high_after, after);
    }
}

/// The level of every 4-bit code (or shorter) of the type in groups of `n`; `None` for q8_0.
#[inline(always)]
pub(crate) fn code_levels(ty: KvType, n: usize) -> Option<&'static [i8; 16]> {
    match ty {
        KvType::Q4_0 => Some(&Q4_LEVELS),
        _ => turbo_table(ty, n).map(|table| &table.levels),
    }
}

/// Expands one group. `low` and `high` start at the group's own words.
#[inline(always)]
pub(crate) fn expand(ty: KvType, n: usize, low: &[u32], high: &[u32], out: &mut [i8]) {
    let Some(levels) = code_levels(ty, n) else {
        for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(low) {
            *bytes = word.to_le_bytes().map(|b| b as i8);
        }
        return;
    };
    match ty {
        KvType::Turbo2 => expand_plane::<2>(levels, low, out),
        KvType::Turbo3 => {
            for (i, level) in out.iter_mut().enumerate() {
                let two = low[i / 16] >> (2 * (i % 16)) & 3;
                let code = two | (high[i / 32] >> (i % 32) & 1) << 2;
                *level = levels[code as usize];
            }
        }
        _ => expand_plane::<4>(levels, low, out),
    }
}

#[inline(always)]
fn expand_plane<const BITS: usize>(levels: &[i8; 16], words: &[u32], out: &mut [i8]) {
    for (out, &word) in out.chunks_exact_mut(32 / BITS).zip(words) {
        for (i, level) in out.iter_mut().enumerate() {
            *level = levels[(word >> (BITS * i)) as usize & ((1 << BITS) - 1)];
        }
    }
}
