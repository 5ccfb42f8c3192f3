//! The query rows of one task, ready for the score kernels.

use std::ops::Range;

use turbo_quant::KvType;
use turbo_quant::kv::quantize_query;

use super::AttentionFault;
use super::exact::bias::{Factors, factors};
use super::shape::Shape;
use super::simd::{BiasRow, ScoreRow};

/// Rows of one K/V head: row r is token r / group of the task, head r % group of the group.
#[derive(Default)]
pub(super) struct QueryRows {
    /// Coded K: [row][plane][value].
    planes: Vec<i8>,
    /// Coded K: [row][plane][scale block].
    bias: Vec<i32>,
    /// Coded K: [row][scale block].
    mults: Vec<f32>,
    /// f16 K: [row][padded value].
    plain: Vec<f32>,
    /// Key bias: [row][factors of cosines, of sines][pair].
    bias_factors: Vec<f32>,
    /// Key bias: the rest of every row.
    bias_rows: Vec<Factors>,
    q16: Vec<i16>,
    rotated: Vec<f32>,
}

impl QueryRows {
    /// Prepares the rows of `tokens` and one K/V head.
    pub(super) fn prepare(
        &mut self,
        shape: &Shape<'_>,
        kv_head: usize,
        tokens: Range<usize>,
    ) -> Result<(), AttentionFault> {
        let (d, group) = (shape.layer.k.head_dim, shape.group());
        let rows = tokens.len() * group;
        let planes = shape.planes();
        if shape.coded_k() {
            self.planes.resize(rows * planes * d, 0);
            self.bias.resize(rows * planes * shape.k_sizes.len(), 0);
            self.mults.resize(rows * shape.k_sizes.len(), 0.0);
            self.q16.resize(d, 0);
            self.rotated.resize(d, 0.0);
        } else {
            self.plain.clear();
            self.plain.resize(rows * Shape::padded(d), 0.0);
        }
        if let Some(table) = shape.score_bias() {
            self.bias_factors.resize(rows * 2 * table.turns.width(), 0.0);
            self.bias_rows.clear();
        }
        for (t, token) in tokens.enumerate() {
            for g in 0..group {
                let head = kv_head * group + g;
                let q = &shape.q[(token * shape.n_heads + head) * d..][..d];
                self.row(shape, t * group + g, q).ok_or(AttentionFault { token, head })?;
                if let Some(table) = shape.score_bias() {
                    let width = table.turns.width();
                    let (a, c) = self.bias_factors[(t * group + g) * 2 * width..][..2 * width].split_at_mut(width);
                    self.bias_rows.push(factors(table, kv_head, q, shape.scale_log2e, a, c));
                }
            }
        }
        Ok(())
    }

    /// One row; `None` when it is not finite.
    fn row(&mut self, shape: &Shape<'_>, row: usize, q: &[f32]) -> Option<()> {
        let d = q.len();
        if !shape.coded_k() {
            self.plain[row * Shape::padded(d)..][..d].copy_from_slice(q);
            return q.iter().all(|v| v.is_finite()).then_some(());
        }
        let kv_type = shape.layer.k.kv_type;
        let wide = kv_type == KvType::Q8_0;
        let codes = quantize_query(q, wide, &mut self.q16, &mut self.rotated).ok()?;
        let blocks = shape.k_sizes.len();
        for (mult, &n) in self.mults[row * blocks..].iter_mut().zip(&shape.k_sizes) {
            *mult = codes.score_mult(shape.scale_log2e, kv_type, n);
        }
        let planes = shape.planes();
        let split = self.planes[row * planes * d..][..planes * d].split_at_mut(d);
        if wide {
            split_planes(&self.q16, split.0, split.1);
        } else {
            split.0.iter_mut().zip(&self.q16).for_each(|(plane, &q)| *plane = q as i8);
        }
        let plane_rows = self.planes[row * planes * d..][..planes * d].chunks_exact(d);
        for (plane, bias) in plane_rows.zip(self.bias[row * planes * blocks..].chunks_exact_mut(blocks)) {
            let mut at = 0;
            for (bias, &n) in bias.iter_mut().zip(&shape.k_sizes) {
                *bias = -128 * plane[at..at + n].iter().map(|&q| i32::from(q)).sum::<i32>();
                at += n;
            }
        }
        Some(())
    }

    /// A coded row.
    pub(super) fn coded(&self, shape: &Shape<'_>, row: usize) -> ScoreRow<'_> {
        let (planes, blocks) = (shape.planes(), shape.k_sizes.len());
        let d = shape.layer.k.head_dim;
        ScoreRow {
            planes: &self.planes[row * planes * d..][..planes * d],
            bias: &self.bias[row * planes * blocks..][..planes * blocks],
            mults: &self.mults[row * blocks..][..blocks],
        }
    }

    /// A row of a slot with a key bias, whose rotation has `width` pairs.
    pub(super) fn biased(&self, row: usize, width: usize) -> BiasRow<'_> {
        BiasRow { factors: &self.bias_factors[row * 2 * width..][..2 * width], row: self.bias_rows[row] }
    }

    /// A plain row, padded with zeros.
    pub(super) fn plain(&self, shape: &Shape<'_>, row: usize) -> &[f32] {
        let d = Shape::padded(shape.layer.k.head_dim);
        &self.plain[row * d..][..d]
    }
}

/// q = 255 * high + low with both within +-127: |q| <= 32512 = 255 * 127 + 127.
fn split_planes(q: &[i16], high: &mut [i8], low: &mut [i8]) {
    for ((&q, high), low) in q.iter().zip(high).zip(low) {
        let q = i32::from(q);
        let h = (q + 127 + 255 * 128).div_euclid(255) - 128;
        *high = h as i8;
        *low = (q - 255 * h) as i8;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_wide_query_value_splits_into_two_signed_bytes() {
        let q: Vec<i16> = (-32512..=32512).collect();
        let (mut high, mut low) = (vec![0; q.len()], vec![0; q.len()]);
        super::split_planes(&q, &mut high, &mut low);
        for ((&q, &h), &l) in q.iter().zip(&high).zip(&low) {
            assert_eq!(i32::from(q), 255 * i32::from(h) + i32::from(l));
            assert!(h > i8::MIN && l > i8::MIN);
        }
    }
}
