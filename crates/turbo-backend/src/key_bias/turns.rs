//! Cosines and sines of a rotary embedding, arranged for tiles of 64 keys.

use super::{pair_of, rounded};
use crate::kv::BLOCK_TOKENS as TILE;
use crate::plan::{RopeStyle, RopeTable};

/// Chebyshev polynomials that stand for the slow pairs of a tile.
pub const POLYNOMIALS: usize = 8;

/// From the first key of a tile to its middle.
const MIDDLE: f64 = (TILE as f64 - 1.0) / 2.0;

/// Half a tile: keys lie at x = (t - 31.5) / 32 in (-1, 1).
const HALF: f64 = TILE as f64 / 2.0;

/// Constants of one rotary embedding.
///
/// A pair is *slow* when it turns by at most 1 radian over half a tile: its cosine and sine are then polynomials of
/// degree 7 of the position in the tile. In most models that is more than half of the pairs.
#[derive(Clone, Debug)]
pub struct KeyTurns {
    style: RopeStyle,
    /// Radians per position, and indices in a head, of every pair as the model has them.
    frequencies: Vec<f64>,
    natural: Vec<[usize; 2]>,
    /// The pairs, fast ones first.
    order: Vec<usize>,
    fast: usize,
    /// Cosine and sine of every fast pair at the keys of a tile, then the polynomials there.
    columns: Vec<[f32; TILE]>,
    /// [polynomial][slow pair, padded]: its share in the pair's cosine (even ones) or sine (odd ones).
    weights: Vec<f32>,
    /// [key][cos, sin][pair, as the model has them]: from the middle of a tile to a key.
    steps: Vec<f32>,
    /// [tile][cos, sin][pair in order, padded]: of the middle of a tile.
    tiles: Vec<f32>,
}

impl KeyTurns {
    /// The constants of `table`, for no tile yet: see [`Self::reach`].
    pub fn new(table: &RopeTable) -> Self {
        let frequencies: Vec<f64> = table.inv_freq.iter().map(|&f| f64::from(f)).collect();
        let pairs = frequencies.len();
        let (mut order, slow): (Vec<usize>, Vec<usize>) =
            (0..pairs).partition(|&pair| frequencies[pair].abs() * HALF > 1.0);
        let fast = order.len();
        let weights = weights(&slow, &frequencies);
        let columns = columns(&order, &frequencies);
        order.extend(slow);
        let steps = (0..TILE).flat_map(|t| {
            let angles = frequencies.iter().map(move |f| (t as f64 - MIDDLE) * f);
            angles.clone().map(|a| a.cos() as f32).chain(angles.map(|a| a.sin() as f32))
        });
        Self {
            style: table.style,
            steps: steps.collect(),
            natural: (0..pairs).map(|pair| pair_of(table.style, pair, pairs)).collect(),
            tiles: Vec::new(),
            frequencies,
            order,
            fast,
            columns,
            weights,
        }
    }

    /// Makes the constants of all tiles with positions below `end`.
    pub fn reach(&mut self, end: usize) {
        let width = self.width();
        for tile in self.n_tiles()..end.div_ceil(TILE) {
            let middle = (tile * TILE) as f64 + MIDDLE;
            let start = self.tiles.len();
            self.tiles.resize(start + 2 * width, 0.0);
            let (cos, sin) = self.tiles[start..].split_at_mut(width);
            for ((cos, sin), &pair) in cos.iter_mut().zip(sin).zip(&self.order) {
                let angle = middle * self.frequencies[pair];
                (*cos, *sin) = (rounded(angle.cos()), rounded(angle.sin()));
            }
        }
    }

    /// Tiles that [`Self::reach`] has made; all of them where nothing is rotated.
    pub fn n_tiles(&self) -> usize {
        self.tiles.len().checked_div(2 * self.width()).unwrap_or(usize::MAX)
    }

    /// Which values form a pair.
    pub fn style(&self) -> RopeStyle {
        self.style
    }

    /// Radians per position of a pair as the model numbers it.
    pub fn frequency(&self, pair: usize) -> f64 {
        self.frequencies[pair]
    }

    /// Indices in a head of every pair as the model numbers them.
    pub fn natural(&self) -> &[[usize; 2]] {
        &self.natural
    }

    /// Numbers of the pairs, fast ones first.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// How many pairs are fast.
    pub fn fast(&self) -> usize {
        self.fast
    }

    /// Pairs in order, the slow ones padded to a multiple of 8.
    pub fn width(&self) -> usize {
        self.fast + (self.order.len() - self.fast).next_multiple_of(8)
    }

    /// Cosine and sine of every fast pair in turn, then the polynomials, each at the 64 keys of a tile.
    pub fn columns(&self) -> &[[f32; TILE]] {
        &self.columns
    }

    /// [polynomial][slow pair, padded].
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// [tile][cos, sin][pair in order, padded]: of the middles of all tiles that [`Self::reach`] has made.
    pub fn tiles(&self) -> &[f32] {
        &self.tiles
    }

    /// Cosines and sines of the pairs in order at the middle of a tile.
    ///
    /// # Panics
    /// For a tile that [`Self::reach`] has not made.
    pub fn tile(&self, tile: usize) -> (&[f32], &[f32]) {
        let width = self.width();
        self.tiles[tile * 2 * width..][..2 * width].split_at(width)
    }

    /// Cosines and sines of the pairs as the model numbers them, from the middle of a tile to its key `t`.
    pub fn step(&self, t: usize) -> (&[f32], &[f32]) {
        let pairs = self.natural.len();
        self.steps[t * 2 * pairs..][..2 * pairs].split_at(pairs)
    }
}

fn columns(fast: &[usize], frequencies: &[f64]) -> Vec<[f32; TILE]> {
    let column = |f: &dyn Fn(f64) -> f64| std::array::from_fn(|t| rounded(f(t as f64 - MIDDLE)));
    let turns = fast.iter().map(|&pair| frequencies[pair]);
    let mut columns: Vec<[f32; TILE]> =
        turns.flat_map(|f| [column(&|t| (t * f).cos()), column(&|t| (t * f).sin())]).collect();
    // T_k(x) = cos(k acos x).
    columns.extend((0..POLYNOMIALS).map(|k| column(&|t| (k as f64 * (t / HALF).acos()).cos())));
    columns
}

/// Jacobi-Anger: cos(hx) = J_0(h) - 2 J_2(h) T_2(x) + 2 J_4(h) T_4(x) .., sin(hx) = 2 J_1(h) T_1(x) - 2 J_3(h) T_3(x) ..
fn weights(slow: &[usize], frequencies: &[f64]) -> Vec<f32> {
    let width = slow.len().next_multiple_of(8);
    let mut weights = vec![0.0; POLYNOMIALS * width];
    for k in 0..POLYNOMIALS {
        let factor = if k == 0 { 1.0 } else { 2.0 } * if k / 2 % 2 == 0 { 1.0 } else { -1.0 };
        for (weight, &pair) in weights[k * width..].iter_mut().zip(slow) {
            *weight = rounded(factor * bessel(k, frequencies[pair] * HALF));
        }
    }
    weights
}

/// J_k(h) for |h| <= 1, by its power series.
fn bessel(k: usize, h: f64) -> f64 {
    let mut term: f64 = (1..=k).map(|i| h / 2.0 / i as f64).product();
    let mut sum = 0.0;
    for m in 1..12 {
        sum += term;
        term *= -(h / 2.0) * (h / 2.0) / (m * (m + k)) as f64;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_stand_for_slow_cosines_and_sines() {
        let inv_freq = vec![0.5, 1.0 / 32.0, 0.02, 1e-3, 1e-7];
        let turns = KeyTurns::new(&RopeTable { style: RopeStyle::Neox, inv_freq: inv_freq.clone(), magnitude: 1.0 });
        assert_eq!((turns.fast(), turns.width(), turns.order()), (1, 9, &[0, 1, 2, 3, 4][..]));
        let polynomials = &turns.columns()[2..];
        for (i, &f) in inv_freq[1..].iter().enumerate() {
            for t in 0..TILE {
                let sum = |odd: usize| -> f64 {
                    let parts = polynomials.iter().enumerate().skip(odd).step_by(2);
                    parts.map(|(k, column)| f64::from(turns.weights()[k * 8 + i]) * f64::from(column[t])).sum()
                };
                let angle = (t as f64 - 31.5) * f64::from(f);
                assert!((sum(0) - angle.cos()).abs() < 3e-7, "cos of {angle}: {}", sum(0));
                assert!((sum(1) - angle.sin()).abs() < 3e-7, "sin of {angle}: {}", sum(1));
            }
        }
    }

    #[test]
    fn tiles_are_made_once_and_in_order() {
        let table = RopeTable { style: RopeStyle::Interleaved, inv_freq: vec![0.01, 1.0], magnitude: 1.0 };
        let (mut whole, mut parts) = (KeyTurns::new(&table), KeyTurns::new(&table));
        whole.reach(1000);
        for end in [1, 64, 65, 10, 1000] {
            parts.reach(end);
        }
        assert_eq!((whole.n_tiles(), &whole.tiles), (16, &parts.tiles));
        let (cos, _) = whole.tile(3);
        assert_eq!(
            cos[..2],
            [(3.0 * 64.0 + 31.5_f64).cos() as f32, ((3.0 * 64.0 + 31.5) * f64::from(0.01_f32)).cos() as f32]
        );
    }
}
