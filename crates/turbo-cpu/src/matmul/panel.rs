//! A few weight rows, expanded and interleaved so that a vector holds the same columns of each.
//!
//! With one row in each 32-bit part of a vector, the eight byte products of a block add up in
//! place, and one multiplication scales all rows. A panel is read once for each group of tokens
//! and stays in the second-level cache.

use turbo_gguf::GgmlType;
use turbo_quant::ggml;

use super::activations::BLOCK;
use super::plane::{Shape, plane_sub};

/// Four codes are one word of a panel.
const WORD: usize = 4;
/// Words of a block in one row.
pub(crate) const BLOCK_WORDS: usize = BLOCK / WORD;

/// The planes of up to `rows` weight rows, interleaved; missing rows are zeros.
#[derive(Default)]
pub(crate) struct Panel {
    /// Rows that are interleaved: what one vector of the level holds.
    pub(crate) rows: usize,
    pub(crate) blocks: usize,
    /// `[8 * blocks][rows]`: four codes each, with `flip` applied.
    pub(crate) words: Vec<u32>,
    /// `[blocks][rows]`, as in [`Planes`](super::plane::Planes).
    pub(crate) low: Vec<f32>,
    pub(crate) high: Vec<f32>,
    pub(crate) min_low: Vec<f32>,
    pub(crate) min_high: Vec<f32>,
    /// `[rows][stride]`: the codes before interleaving.
    codes: Vec<i8>,
    scales: Vec<f32>,
    mins: Vec<f32>,
}

/// How a level wants its panels.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Rows of a panel.
    pub(crate) rows: usize,
    /// What codes are combined with by exclusive or: 0x80 moves them up by 128, 0 leaves them.
    pub(crate) flip: u8,
}

impl Panel {
    /// Fills the panel from the bytes of `data.len() / row_bytes` rows of `cols` values.
    pub(crate) fn fill(
        &mut self,
        ty: GgmlType,
        shape: Shape,
        cols: usize,
        data: &[u8],
        row_bytes: usize,
        layout: Layout,
    ) {
        self.resize(shape, cols, layout.rows);
        let sub = plane_sub(ty);
        let parts = cols / sub;
        self.scales.resize(parts, 0.0);
        self.mins.resize(if shape.mins { parts } else { 0 }, 0.0);
        // Rows of 4096 columns would all start in the same set of the first-level cache.
        let stride = cols + 64;
        self.codes.resize(layout.rows * stride, 0);
        let count = data.len() / row_bytes;
        for (row, bytes) in data.chunks_exact(row_bytes).enumerate() {
            ggml::expand(ty, bytes, &mut self.codes[row * stride..][..cols], &mut self.scales, &mut self.mins);
            spread(sub, &self.scales, row, layout.rows, &mut self.low, &mut self.high);
            if shape.mins {
                spread(sub, &self.mins, row, layout.rows, &mut self.min_low, &mut self.min_high);
            }
        }
        self.codes[count * stride..].fill(0);
        for row in count..layout.rows {
            for part in [&mut self.low, &mut self.high, &mut self.min_low, &mut self.min_high] {
                part.iter_mut().skip(row).step_by(layout.rows).for_each(|value| *value = 0.0);
            }
        }
        interleave(&self.codes, stride, cols, layout, &mut self.words);
    }

    fn resize(&mut self, shape: Shape, cols: usize, rows: usize) {
        (self.rows, self.blocks) = (rows, cols / BLOCK);
        let len = self.blocks * rows;
        self.words.resize(len * BLOCK_WORDS, 0);
        self.low.resize(len, 0.0);
        self.high.resize(if shape.halves { len } else { 0 }, 0.0);
        self.min_low.resize(if shape.mins { len } else { 0 }, 0.0);
        self.min_high.resize(if shape.mins && shape.halves { len } else { 0 }, 0.0);
    }
}

/// The scales of one row to their places in a panel.
fn spread(sub: usize, from: &[f32], row: usize, rows: usize, low: &mut [f32], high: &mut [f32]) {
    if sub == BLOCK / 2 {
        let places = low.iter_mut().skip(row).step_by(rows).zip(high.iter_mut().skip(row).step_by(rows));
        for ((low, high), pair) in places.zip(from.as_chunks::<2>().0) {
            [*low, *high] = *pair;
        }
    } else {
        for (low, &value) in low.iter_mut().skip(row).step_by(rows).zip(from) {
            *low = value;
        }
    }
}

fn interleave(codes: &[i8], stride: usize, cols: usize, layout: Layout, words: &mut [u32]) {
    let flip = u32::from_ne_bytes([layout.flip; WORD]);
    let rows: Vec<&[[u8; WORD]]> = codes
        .chunks_exact(stride)
        .map(|row| bytemuck::cast_slice::<i8, u8>(&row[..cols]).as_chunks::<WORD>().0)
        .collect();
    for (at, words) in words.chunks_exact_mut(layout.rows).enumerate() {
        for (word, row) in words.iter_mut().zip(&rows) {
            *word = u32::from_ne_bytes(row[at]) ^ flip;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matmul::plane::{Planes, shape};

    #[test]
    fn a_panel_holds_the_planes_of_its_rows() {
        for ty in [GgmlType::Q4_K, GgmlType::Q6_K, GgmlType::Q2_K] {
            let (cols, count) = (512, 3);
            let row_bytes = cols / ty.block_values() * ty.block_bytes();
            let data: Vec<u8> = (0..row_bytes * count).map(|i| (i * 151 % 63) as u8).collect();
            let shape = shape(ty).unwrap();
            let mut panel = Panel::default();
            panel.fill(ty, shape, cols, &data, row_bytes, Layout { rows: 8, flip: 0x80 });
            for (row, bytes) in data.chunks_exact(row_bytes).enumerate() {
                let mut planes = Planes::default();
                planes.resize(shape, cols);
                planes.expand(ty, cols, bytes);
                let at = |part: &[f32]| part.iter().skip(row).step_by(8).copied().collect::<Vec<_>>();
                assert_eq!(at(&panel.low), planes.low, "{ty}");
                assert_eq!(at(&panel.high), planes.high, "{ty}");
                assert_eq!(at(&panel.min_low), planes.min_low, "{ty}");
                assert_eq!(at(&panel.min_high), planes.min_high, "{ty}");
                let codes: Vec<i8> =
                    (0..cols).map(|col| (panel.words[col / 4 * 8 + row].to_ne_bytes()[col % 4] ^ 0x80) as i8).collect();
                assert_eq!(codes, planes.codes, "{ty}");
            }
            assert!(panel.low.iter().skip(3).step_by(8).all(|&scale| scale == 0.0));
        }
    }
}
