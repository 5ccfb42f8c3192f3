//! Rotary position embedding.

use turbo_backend::plan::{RopeStyle, RopeTable};

/// Cosines and sines for the positions of one batch.
#[derive(Default)]
pub struct RopeAngles {
    /// For every token: `pairs` cosines, then `pairs` sines, times the table's magnitude.
    factors: Vec<f32>,
    pairs: usize,
}

impl RopeAngles {
    /// Works out the factors of these positions ([`RopeTable::factors`]).
    pub fn prepare(&mut self, table: &RopeTable, positions: &[u32]) {
        self.pairs = table.inv_freq.len();
        self.factors.clear();
        table.factors(positions, &mut self.factors);
    }

    /// Of every token: `pairs` cosines, then as many sines, times the table's magnitude.
    pub fn factors(&self) -> &[f32] {
        &self.factors
    }

    /// Rotates all heads of the row of token `token`.
    pub fn apply(&self, style: RopeStyle, token: usize, row: &mut [f32], head_dim: usize) {
        let (cos, sin) = self.factors[token * 2 * self.pairs..][..2 * self.pairs].split_at(self.pairs);
        for head in row.chunks_exact_mut(head_dim) {
            let rotated = &mut head[..2 * self.pairs];
            match style {
                RopeStyle::Neox => {
                    let (low, high) = rotated.split_at_mut(self.pairs);
                    for (((a, b), &c), &s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                        (*a, *b) = (*a * c - *b * s, *a * s + *b * c);
                    }
                }
                RopeStyle::Interleaved => {
                    for ((pair, &c), &s) in rotated.chunks_exact_mut(2).zip(cos).zip(sin) {
                        let (a, b) = (pair[0], pair[1]);
                        (pair[0], pair[1]) = (a * c - b * s, a * s + b * c);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotate(style: RopeStyle, position: u32, mut row: Vec<f32>, head_dim: usize) -> Vec<f32> {
        let table = RopeTable { style, inv_freq: vec![1.0, 0.1], magnitude: 1.0 };
        let mut angles = RopeAngles::default();
        angles.prepare(&table, &[0, position]);
        angles.apply(style, 1, &mut row, head_dim);
        row
    }

    #[test]
    fn both_styles_rotate_their_pairs_and_leave_the_rest() {
        let (s, c) = 3f32.sin_cos();
        let (s2, c2) = 0.3f32.sin_cos();
        let neox = rotate(RopeStyle::Neox, 3, vec![1.0, 0.0, 0.0, 1.0, 7.0], 5);
        assert!(neox.iter().zip([c, -s2, s, c2, 7.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{neox:?}");
        let pairs = rotate(RopeStyle::Interleaved, 3, vec![1.0, 0.0, 0.0, 1.0, 7.0], 5);
        assert!(pairs.iter().zip([c, s, -s2, c2, 7.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{pairs:?}");
    }

    #[test]
    fn position_0_changes_nothing() {
        let row = vec![0.5, -2.0, 3.0, 4.0];
        assert_eq!(rotate(RopeStyle::Neox, 0, row.clone(), 4), row);
    }
}
