//! Key biases: what attention adds to the scores of keys that are stored without their projection's bias.
//!
//! `docs/exact-attention.md` section 11. [`KeyTurns`] holds the constants of a rotary embedding, [`SlotBias`] the
//! bias of a cache slot; both are made once, on the host, in float64.

mod slot;
mod turns;

pub use slot::{NonFinite, SlotBias};
pub use turns::{KeyTurns, POLYNOMIALS};

use crate::plan::RopeStyle;

/// The bias of the keys of one job, with the constants of its rotation.
#[derive(Clone, Copy, Debug)]
pub struct KeyBiasTable<'a> {
    /// The bias of every K/V head.
    pub slot: &'a SlotBias,
    /// The rotation, reaching over all positions of the job.
    pub turns: &'a KeyTurns,
}

impl KeyBiasTable<'_> {
    /// What the stored key of `kv_head` at `position` lacks, in float64: the yardstick of every path.
    pub fn key(&self, kv_head: usize, position: usize) -> Vec<f64> {
        let mut key: Vec<f64> = self.slot.plain(kv_head).iter().map(|&b| f64::from(b)).collect();
        for (pair, &[x, y]) in self.turns.natural().iter().enumerate() {
            let (sin, cos) = (position as f64 * self.turns.frequency(pair)).sin_cos();
            (key[x], key[y]) = (key[x] * cos - key[y] * sin, key[x] * sin + key[y] * cos);
        }
        key
    }

    /// The bias of a head turned to the middle of a tile, in the order of [`KeyTurns::step`]: the first and then the
    /// second values of all pairs, then the values that are not rotated.
    pub fn turned(&self, kv_head: usize, tile: usize, out: &mut Vec<f32>) {
        let bias = self.slot.plain(kv_head);
        let pairs = self.turns.natural();
        out.clear();
        out.extend_from_slice(bias);
        let (cos, sin) = self.turns.tile(tile);
        for (at, &pair) in self.turns.order().iter().enumerate() {
            let [x, y] = pairs[pair].map(|i| bias[i]);
            out[pair] = x * cos[at] - y * sin[at];
            out[pairs.len() + pair] = x * sin[at] + y * cos[at];
        }
    }
}

/// Indices in a head of the values of pair `pair` of `pairs`.
fn pair_of(style: RopeStyle, pair: usize, pairs: usize) -> [usize; 2] {
    match style {
        RopeStyle::Neox => [pair, pair + pairs],
        RopeStyle::Interleaved => [2 * pair, 2 * pair + 1],
    }
}

/// The f32 nearest `x`; 0 below 2^-24, so that no product of such numbers comes near the denormal ones.
fn rounded(x: f64) -> f32 {
    let x = x as f32;
    if x.abs() < 1.0 / 16_777_216.0 { 0.0 } else { x }
}
