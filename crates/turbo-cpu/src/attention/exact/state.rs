//! Sums of one query head over some keys: what a tile gives, and what chunks and sequences add up to.

use super::fold::{Denominator, Frame, fold_values};
use super::output::{reciprocal, value};

/// Denominator and value sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Denominator of the softmax.
    pub denominator: Denominator,
    /// Weighted sums of levels, one per value of the head.
    pub values: Vec<i32>,
    /// Frame of every scale block of V.
    pub frames: Vec<Frame>,
}

impl State {
    /// Of no key, for a head of `head_dim` values in `blocks` scale blocks.
    pub fn empty(head_dim: usize, blocks: usize) -> Self {
        Self { denominator: Denominator::EMPTY, values: vec![0; head_dim], frames: vec![Frame::EMPTY; blocks] }
    }

    /// Adds a part; `sizes` are those of the scale blocks.
    pub fn fold(&mut self, part: &Self, sizes: &[usize]) {
        self.denominator = self.denominator.fold(part.denominator);
        let mut at = 0;
        for (b, &n) in sizes.iter().enumerate() {
            let block = at..at + n;
            fold_values(&mut self.values[block.clone()], &mut self.frames[b], &part.values[block], part.frames[b]);
            at += n;
        }
    }

    /// The output head, still rotated. `bits` of the weights, `shifts` of the levels of every scale block.
    pub fn output(&self, bits: i32, sizes: &[usize], shifts: &[i32], out: &mut [f32]) {
        let Some(reciprocal) = reciprocal(self.denominator) else { return out.fill(0.0) };
        let mut at = 0;
        for (b, &n) in sizes.iter().enumerate() {
            for (out, &acc) in out[at..at + n].iter_mut().zip(&self.values[at..at + n]) {
                *out = value(acc, self.frames[b], bits, shifts[b], reciprocal);
            }
            at += n;
        }
    }
}
