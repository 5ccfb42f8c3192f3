//! Rows of a file to rows of [`Layout`].

use turbo_gguf::GgmlType;
use turbo_quant::ggml;

use super::layout::{Layout, Scales, UNIT};

/// Bits of the f16 1.0.
const ONE: [u8; 2] = 0x3c00_u16.to_le_bytes();

/// Packs rows; a thread has one, with its working memory.
pub(super) struct RowPacker {
    layout: Layout,
    cols: usize,
    /// For a byte of a code, what is stored.
    stored: [u8; 256],
    codes: Vec<i8>,
    scales: Vec<f32>,
    mins: Vec<f32>,
}

impl RowPacker {
    pub(super) fn new(layout: Layout, cols: usize) -> Self {
        let mut stored = [0; 256];
        for (byte, stored) in stored.iter_mut().enumerate() {
            let code = byte as u8 as i8;
            *stored = match layout.levels {
                // The first of two equal levels (mxfp4 has two zeros).
                Some(levels) => levels.iter().position(|&l| l == code).unwrap_or(0) as u8,
                None => code.wrapping_add(layout.offset) as u8,
            };
        }
        let (block, sub) = ggml::plane_shape(layout.ty).map_or((0, 1), |shape| (shape.block, shape.sub));
        let (codes, scales) = (vec![0; block], vec![0.0; block / sub]);
        Self { layout, cols, stored, codes, mins: scales.clone(), scales }
    }

    /// Packs a row; `words` are zeros.
    pub(super) fn pack(&mut self, bytes: &[u8], words: &mut [u32]) {
        if self.layout.scales == Scales::Float {
            for (word, bytes) in words.iter_mut().zip(bytes.chunks(4)) {
                let mut four = [0; 4];
                four[..bytes.len()].copy_from_slice(bytes);
                *word = u32::from_le_bytes(four);
            }
            return;
        }
        let ty = self.layout.ty;
        let row = self.layout.row(self.cols);
        let mut unit = 0;
        let mut block = [0; 256 + 34];
        for bytes in bytes.chunks_exact(ty.block_bytes()) {
            let block = &mut block[..bytes.len()];
            block.copy_from_slice(bytes);
            // With factors of one, scales come out as the small integers that they are.
            let factors = take_factors(&self.layout, block);
            ggml::expand(ty, block, &mut self.codes, &mut self.scales, &mut self.mins);
            self.store_scales(factors, unit, &mut words[row.scales..]);
            for codes in self.codes.as_chunks::<UNIT>().0 {
                let codes = codes.map(|code| self.stored[usize::from(code as u8)]);
                store_low(self.layout.low, &codes, &mut words[unit * self.layout.low..][..self.layout.low]);
                let high = &mut words[row.high_plane + unit * self.layout.high..][..self.layout.high];
                store_high(self.layout.low, &codes, high);
                unit += 1;
            }
        }
    }

    /// Scales of the block whose first unit is `unit`; `factors` are its two f16.
    fn store_scales(&self, factors: [u16; 2], unit: usize, to: &mut [u32]) {
        match self.layout.scales {
            Scales::Float => {}
            Scales::Half => to[unit / 2] |= u32::from(factors[0]) << (16 * (unit % 2)),
            Scales::Brain => to[unit / 2] |= (self.scales[0].to_bits() >> 16) << (16 * (unit % 2)),
            Scales::Pair => to[unit] = u32::from(factors[0]) | u32::from(factors[1]) << 16,
            Scales::Super => {
                let to = &mut to[unit / 8 * 5..][..5];
                to[0] = u32::from(factors[0]) | u32::from(factors[1]) << 16;
                let small = |x: f32| u32::from(x as i32 as u8);
                for i in 0..8 {
                    let bytes = match (self.layout.ty, self.scales.len()) {
                        (GgmlType::Q2_K, _) => {
                            let byte = |j: usize| small(self.scales[j]) | small(self.mins[j]) << 4;
                            byte(2 * i) | byte(2 * i + 1) << 8
                        }
                        (_, 16) => small(self.scales[2 * i]) | small(self.scales[2 * i + 1]) << 8,
                        _ => small(self.scales[i]) | small(self.mins[i]) << 8,
                    };
                    to[1 + i / 2] |= bytes << (16 * (i % 2));
                }
            }
        }
    }
}

/// Takes the f16 factors of a block out of it; those of scales of scales are replaced by ones.
fn take_factors(layout: &Layout, block: &mut [u8]) -> [u16; 2] {
    let mut factors = [0; 2];
    for (factor, &at) in factors.iter_mut().zip(layout.factors()) {
        *factor = u16::from_le_bytes([block[at], block[at + 1]]);
        if layout.scales == Scales::Super {
            block[at..at + 2].copy_from_slice(&ONE);
        }
    }
    factors
}

/// The low `bits` of 32 codes.
fn store_low(bits: usize, codes: &[u8; UNIT], to: &mut [u32]) {
    match bits {
        8 => {
            for (word, four) in to.iter_mut().zip(codes.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*four);
            }
        }
        4 => {
            for (j, word) in to.iter_mut().enumerate() {
                let byte = |k: usize| (codes[4 * j + k] & 15) | (codes[16 + 4 * j + k] & 15) << 4;
                *word = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]);
            }
        }
        _ => pairs(codes, 0, to),
    }
}

/// The bits of 32 codes above the lowest `low`: none, one or two words.
fn store_high(low: usize, codes: &[u8; UNIT], to: &mut [u32]) {
    match to {
        [] => {}
        [word] => {
            for (i, code) in codes.iter().enumerate() {
                let (half, j, k) = (i / 16, i / 4 % 4, i % 4);
                *word |= u32::from(code >> low & 1) << (8 * k + 4 * half + j);
            }
        }
        _ => pairs(codes, low, to),
    }
}

/// Two bits of every code, from bit `shift` on: a word for each half.
fn pairs(codes: &[u8; UNIT], shift: usize, to: &mut [u32]) {
    for (word, codes) in to.iter_mut().zip(codes.as_chunks::<16>().0) {
        for (i, code) in codes.iter().enumerate() {
            *word |= u32::from(code >> shift & 3) << (8 * (i % 4) + 2 * (i / 4));
        }
    }
}
