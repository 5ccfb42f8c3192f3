//! The bias of the keys of one cache slot.

use crate::plan::RopeTable;

use super::{KeyTurns, rounded};

/// A bias with inf or nan among its values.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("found {found} at value {index} of a key bias, expected finite values")]
pub struct NonFinite {
    /// Which value.
    pub index: usize,
    /// What it is.
    pub found: f32,
}

/// The bias of every K/V head of a slot, ready for scores.
#[derive(Clone, Debug)]
pub struct SlotBias {
    head_dim: usize,
    /// With the rotation's magnitude, as the model has it: [head][value].
    plain: Vec<f32>,
    /// Of every head, in its own frame 2^exponent: first values of the pairs in order (padded), second values, then
    /// the values that are not rotated.
    framed: Vec<f32>,
    exponents: Vec<i32>,
    width: usize,
}

impl SlotBias {
    /// The bias `bias` ([head][value]) of heads of `head_dim` values, rotated by `table`, whose constants `turns` has.
    ///
    /// # Errors
    /// The first value that is inf or nan.
    ///
    /// # Panics
    /// When a head has fewer values than the rotation takes.
    pub fn new(bias: &[f32], head_dim: usize, table: &RopeTable, turns: &KeyTurns) -> Result<Self, NonFinite> {
        if let Some(index) = bias.iter().position(|b| !b.is_finite()) {
            return Err(NonFinite { index, found: bias[index] });
        }
        let (rotated, width) = (2 * turns.natural().len(), turns.width());
        assert!(rotated <= head_dim, "{rotated} values of a head of {head_dim} are rotated");
        let magnitude = |i: usize| if i < rotated { f64::from(table.magnitude) } else { 1.0 };
        let mut slot = Self { head_dim, plain: Vec::new(), framed: Vec::new(), exponents: Vec::new(), width };
        for head in bias.chunks_exact(head_dim) {
            let values: Vec<f64> = head.iter().enumerate().map(|(i, &b)| f64::from(b) * magnitude(i)).collect();
            let largest = values.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
            // The exponent of a normal float64; a head of zeros has any.
            let exponent = if largest > 0.0 { (largest.to_bits() >> 52) as i32 - 1023 } else { 0 };
            let framed = |i: usize| rounded(values[i] * 2.0_f64.powi(-exponent));
            for side in 0..2 {
                let start = slot.framed.len();
                slot.framed.extend(turns.order().iter().map(|&pair| framed(turns.natural()[pair][side])));
                slot.framed.resize(start + width, 0.0);
            }
            slot.framed.extend((rotated..head_dim).map(framed));
            slot.plain.extend(values.iter().map(|&v| v as f32));
            slot.exponents.push(exponent);
        }
        Ok(slot)
    }

    /// Number of K/V heads.
    pub fn n_heads(&self) -> usize {
        self.exponents.len()
    }

    /// Values of one head.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// The bias of a head with the rotation's magnitude.
    pub fn plain(&self, head: usize) -> &[f32] {
        &self.plain[head * self.head_dim..][..self.head_dim]
    }

    /// First values of the pairs of a head in order, second values, values that are not rotated; all to be multiplied
    /// by 2^[`Self::exponent`].
    pub fn framed(&self, head: usize) -> (&[f32], &[f32], &[f32]) {
        let stride = self.framed.len() / self.exponents.len().max(1);
        let (x, rest) = self.framed[head * stride..][..stride].split_at(self.width);
        let (y, rest) = rest.split_at(self.width);
        (x, y, rest)
    }

    /// Power of two of the framed values of a head.
    pub fn exponent(&self, head: usize) -> i32 {
        self.exponents[head]
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::RopeStyle;

    use super::*;

    fn table(style: RopeStyle) -> RopeTable {
        RopeTable { style, inv_freq: vec![0.01, 1.0], magnitude: 2.0 }
    }

    #[test]
    fn pairs_are_ordered_framed_and_padded() {
        for (style, firsts, seconds) in
            [(RopeStyle::Neox, [2.0, 1.0], [4.0, 3.0]), (RopeStyle::Interleaved, [3.0, 1.0], [4.0, 2.0])]
        {
            let turns = KeyTurns::new(&table(style));
            let slot = SlotBias::new(&[1.0, 2.0, 3.0, 4.0, 16.0, 0.0], 6, &table(style), &turns).expect("finite");
            let (x, y, rest) = slot.framed(0);
            assert_eq!(slot.exponent(0), 4);
            assert_eq!(
                (x[..2].to_vec(), y[..2].to_vec()),
                (firsts.map(|v| v / 8.0).to_vec(), seconds.map(|v| v / 8.0).to_vec())
            );
            assert!(x[2..].iter().chain(&y[2..]).all(|&v| v == 0.0) && x.len() == 9);
            assert_eq!(rest, [1.0, 0.0]);
            assert_eq!(slot.plain(0), [2.0, 4.0, 6.0, 8.0, 16.0, 0.0]);
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_named() {
        let turns = KeyTurns::new(&table(RopeStyle::Neox));
        let error = SlotBias::new(&[0.0, 1.0, f32::INFINITY, 0.0], 4, &table(RopeStyle::Neox), &turns).unwrap_err();
        assert_eq!(error.to_string(), "found inf at value 2 of a key bias, expected finite values");
    }
}
