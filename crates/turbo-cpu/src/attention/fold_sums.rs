//! Integer sums of the rows of a task, for coded V.

use turbo_quant::turbo::rotate::{Direction, rotate_head};

use super::exact::exp2::exp2;
use super::exact::fold::{Denominator, Frame};
use super::exact::output::{reciprocal, value};
use super::exact::score::sink;
use super::shape::Shape;
use super::simd::{Keys, Simd};
use super::tiles::ValueTile;

/// Denominators and values of some rows.
#[derive(Clone, Default)]
pub(super) struct IntSums {
    denominators: Vec<Denominator>,
    /// [row][scale block].
    frames: Vec<Frame>,
    /// [row][value].
    values: Vec<i32>,
}

impl IntSums {
    /// Empties `rows` rows.
    pub(super) fn clear(&mut self, shape: &Shape<'_>, rows: usize) {
        self.denominators.clear();
        self.denominators.resize(rows, Denominator::EMPTY);
        self.frames.clear();
        self.frames.resize(rows * shape.v_sizes.len(), Frame::EMPTY);
        self.values.resize(rows * shape.layer.v.head_dim, 0);
    }

    /// Adds the visible keys `from..to` of a tile to a row. `part` is scratch for one head.
    pub(super) fn add_tile(
        &mut self,
        shape: &Shape<'_>,
        row: usize,
        scores: &Keys<i32>,
        (from, to): (usize, usize),
        tile: &ValueTile,
        part: &mut Vec<i32>,
    ) {
        let (simd, d) = (shape.simd, shape.layer.v.head_dim);
        let (powers, denominator) = simd.powers(scores, from, to);
        self.denominators[row] = self.denominators[row].fold(denominator);
        part.resize(d, 0);
        let values = &mut self.values[row * d..][..d];
        let blocks = shape.v_sizes.len();
        let mut at = 0;
        for ((b, &n), frame) in shape.v_sizes.iter().enumerate().zip(&mut self.frames[row * blocks..]) {
            let (weights, part_frame) = simd.weights(&powers, &tile.scales[b], shape.width);
            if !part_frame.is_empty() {
                let part = &mut part[..n];
                simd.weigh(&weights, &tile.levels[2 * at..], 2 * d, from / 2, to.div_ceil(2), part);
                simd.fold(&mut values[at..at + n], frame, part, part_frame);
            }
            at += n;
        }
    }

    /// Adds the sums of a later chunk.
    pub(super) fn fold(&mut self, simd: Simd, part: &Self, sizes: &[usize]) {
        for (state, &part) in self.denominators.iter_mut().zip(&part.denominators) {
            *state = state.fold(part);
        }
        let mut at = 0;
        let blocks = sizes.iter().cycle();
        for ((frame, &part_frame), &n) in self.frames.iter_mut().zip(&part.frames).zip(blocks) {
            simd.fold(&mut self.values[at..at + n], frame, &part.values[at..at + n], part_frame);
            at += n;
        }
    }

    /// The output head of a row, with the sink of its query head.
    pub(super) fn output(&self, shape: &Shape<'_>, row: usize, logit: Option<f32>, out: &mut [f32]) {
        let mut denominator = self.denominators[row];
        if let Some(logit) = logit {
            let power = exp2(sink(logit));
            denominator = denominator.fold(Denominator { l: power.mantissa, e: power.exponent });
        }
        let Some(reciprocal) = reciprocal(denominator) else { return out.fill(0.0) };
        let values = &self.values[row * out.len()..];
        let frames = &self.frames[row * shape.v_sizes.len()..];
        let mut at = 0;
        for ((&n, &shift), &frame) in shape.v_sizes.iter().zip(&shape.v_shifts).zip(frames) {
            for (out, &acc) in out[at..at + n].iter_mut().zip(&values[at..at + n]) {
                *out = value(acc, frame, shape.width.bits, shift, reciprocal);
            }
            at += n;
        }
        rotate_head(out, Direction::Inverse);
    }
}
