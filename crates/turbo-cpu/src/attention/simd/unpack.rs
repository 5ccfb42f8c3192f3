//! What the SIMD paths need to know to expand the codes of one side of a tile to integer levels.

use std::ops::Range;

use turbo_backend::SideLayout;
use turbo_quant::kv::levels_head;
use turbo_quant::turbo::tables::table;
use turbo_quant::{KvType, rotation_groups};

/// Levels of q4_0's codes.
const Q4_0: [i8; 16] = [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7];

/// Consecutive values of a head whose codes have the same levels.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "the portable path asks the codec"))]
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// First value.
    pub(crate) at: usize,
    /// Number of values, a multiple of 16.
    pub(crate) n: usize,
    /// Level of every code.
    pub(crate) levels: [i8; 16],
}

/// How the codes of one side lie and what they stand for.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "the portable path asks the codec"))]
pub(crate) struct Unpack {
    pub(crate) side: SideLayout,
    /// Bits in the low plane: 2 or 4.
    pub(crate) low_bits: usize,
    /// First word of the plane of high bits (turbo3).
    pub(crate) high_at: Option<usize>,
    /// Empty for q8_0 and f16, whose codes are no indices.
    pub(crate) runs: Vec<Run>,
}

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "the portable path asks the codec"))]
impl Unpack {
    pub(crate) fn new(side: SideLayout) -> Self {
        let ty = side.kv_type;
        let runs = match ty {
            KvType::F16 | KvType::Q8_0 => Vec::new(),
            KvType::Q4_0 => vec![Run { at: 0, n: side.head_dim, levels: Q4_0 }],
            KvType::Turbo2 | KvType::Turbo3 | KvType::Turbo4 => turbo_runs(ty, side.head_dim),
        };
        let high_at = (ty == KvType::Turbo3).then_some(side.head_dim / 16);
        Self { side, low_bits: if ty.code_bits() == 4 { 4 } else { 2 }, high_at, runs }
    }

    /// Low and high code words of a key of a unit.
    #[inline(always)]
    pub(crate) fn planes<'a>(&self, codes: &'a [u32], key: usize) -> (&'a [u32], &'a [u32]) {
        let words = &codes[key * self.side.code_words..][..self.side.code_words];
        words.split_at(self.high_at.unwrap_or(words.len()))
    }

    /// The values of a run from `skip` on, one by one.
    #[inline(always)]
    pub(super) fn tail(&self, run: &Run, skip: usize, (low, high): (&[u32], &[u32]), out: &mut [i8]) {
        let (per_word, mask) = (32 / self.low_bits, (1 << self.low_bits) - 1);
        for i in run.at + skip..run.at + run.n {
            let code = (low[i / per_word] >> (self.low_bits * (i % per_word))) & mask;
            let bit = high.get(i / 32).map_or(0, |word| (word >> (i % 32)) & 1);
            out[i] = run.levels[(code | bit << 2) as usize];
        }
    }
}

fn turbo_runs(ty: KvType, d: usize) -> Vec<Run> {
    let mut at = 0;
    rotation_groups(d)
        .map(|n| {
            let run = Run { at, n, levels: table(ty.code_bits() as u32, n).levels };
            at += n;
            run
        })
        .collect()
}

/// Levels of `keys` of a unit, to [key][head_dim].
pub(super) fn portable(unpack: &Unpack, codes: &[u32], keys: &Range<usize>, out: &mut [i8]) {
    let side = &unpack.side;
    for key in keys.clone() {
        let codes = &codes[key * side.code_words..][..side.code_words];
        levels_head(side.kv_type, side.head_dim, codes, &mut out[key * side.head_dim..][..side.head_dim]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Simd;
    use super::*;

    #[test]
    fn every_path_expands_as_the_codec_does() {
        for ty in [KvType::Q4_0, KvType::Turbo4, KvType::Turbo3, KvType::Turbo2] {
            for d in (16..=576).step_by(16) {
                let unpack = Unpack::new(SideLayout::new(ty, 1, d).expect("a multiple of 16"));
                let word = |i: usize| (i as u32).wrapping_mul(0x9e37_79b9).rotate_left(7) ^ 0x5bd1_e995;
                let codes: Vec<u32> = (0..64 * unpack.side.code_words).map(word).collect();
                let keys = 3..61;
                let mut want = vec![0; 64 * d];
                portable(&unpack, &codes, &keys, &mut want);
                for simd in Simd::all() {
                    let mut got = vec![0; 64 * d];
                    simd.unpack(&unpack, &codes, &keys, &mut got);
                    assert!(got == want, "{ty} of {d} on {}", simd.name());
                }
            }
        }
    }
}
