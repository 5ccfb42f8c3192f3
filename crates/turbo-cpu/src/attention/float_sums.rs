//! f32 sums of the rows of a task, for f16 V. Bounded.

use super::shape::Shape;
use super::simd::{Keys, float};
use super::tiles::ValueTile;

/// Running maximum, denominator and values of some rows.
#[derive(Clone, Default)]
pub(super) struct FloatSums {
    /// Largest score so far in log2 units; -inf for none.
    largest: Vec<f32>,
    denominators: Vec<f32>,
    /// [row][padded value], relative to 2^largest.
    values: Vec<f32>,
}

/// 2^(from - to), 0 for nothing summed up yet.
fn rescale(from: f32, to: f32) -> f32 {
    if from == f32::NEG_INFINITY { 0.0 } else { float::exp2(from - to) }
}

impl FloatSums {
    /// Empties `rows` rows.
    pub(super) fn clear(&mut self, shape: &Shape<'_>, rows: usize) {
        self.largest.clear();
        self.largest.resize(rows, f32::NEG_INFINITY);
        self.denominators.clear();
        self.denominators.resize(rows, 0.0);
        self.values.clear();
        self.values.resize(rows * Shape::padded(shape.layer.v.head_dim), 0.0);
    }

    /// Adds the visible keys `from..to` of a tile to a row; scores in log2 units.
    pub(super) fn add_tile(
        &mut self,
        shape: &Shape<'_>,
        row: usize,
        scores: &Keys<f32>,
        (from, to): (usize, usize),
        tile: &ValueTile,
    ) {
        let d = Shape::padded(shape.layer.v.head_dim);
        let before = self.largest[row];
        let largest = scores[from..to].iter().copied().fold(before, f32::max);
        let (p, sum) = shape.simd.probabilities(scores, largest, from, to);
        let factor = rescale(before, largest);
        self.largest[row] = largest;
        self.denominators[row] = self.denominators[row] * factor + sum;
        shape.simd.mix(&p, &tile.plain, factor, from, to, &mut self.values[row * d..][..d]);
    }

    /// Adds the sums of a later chunk.
    pub(super) fn fold(&mut self, part: &Self) {
        let d = self.values.len() / self.largest.len().max(1);
        for row in 0..self.largest.len() {
            let (a, b) = (self.largest[row], part.largest[row]);
            if b == f32::NEG_INFINITY {
                continue;
            }
            let largest = a.max(b);
            let (fa, fb) = (rescale(a, largest), rescale(b, largest));
            self.largest[row] = largest;
            self.denominators[row] = self.denominators[row] * fa + part.denominators[row] * fb;
            for (s, &p) in self.values[row * d..][..d].iter_mut().zip(&part.values[row * d..][..d]) {
                *s = *s * fa + p * fb;
            }
        }
    }

    /// The output head of a row, with the sink of its query head.
    pub(super) fn output(&self, row: usize, logit: Option<f32>, out: &mut [f32]) {
        let d = Shape::padded(out.len());
        let sink = logit.map_or(f32::NEG_INFINITY, |logit| logit * std::f32::consts::LOG2_E);
        let largest = self.largest[row].max(sink);
        let factor = rescale(self.largest[row], largest);
        let denominator = self.denominators[row] * factor + rescale(sink, largest);
        let norm = if denominator > 0.0 { factor / denominator } else { 0.0 };
        for (out, &v) in out.iter_mut().zip(&self.values[row * d..][..d]) {
            *out = v * norm;
        }
    }
}
