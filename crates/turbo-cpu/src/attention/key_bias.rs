//! Twin of `wgsl/kernels/attention/key_bias.wgsl`: class Exact. `docs/exact-attention.md`, section 11.

use std::ops::Range;

use turbo_backend::BLOCK_TOKENS;
use turbo_backend::key_bias::KeyBiasTable;

use super::exact::bias::{Factors, bias_score, column_factors, factors};

/// A finite query head, multiplied with the bias of its K/V head.
#[derive(Clone, Debug)]
pub struct BiasQuery {
    /// Factors of the cosines and of the sines of the pairs in order.
    a: Vec<f32>,
    c: Vec<f32>,
    factors: Factors,
}

impl BiasQuery {
    /// The query head `q` (after rope, not rotated) for keys of `kv_head`; `scale` is the factor on q . k.
    pub fn new(table: KeyBiasTable<'_>, kv_head: usize, scale: f32, q: &[f32]) -> Self {
        let (mut a, mut c) = (vec![0.0; table.turns.width()], vec![0.0; table.turns.width()]);
        let scale_log2e = (f64::from(scale) * std::f64::consts::LOG2_E) as f32;
        let factors = factors(table, kv_head, q, scale_log2e, &mut a, &mut c);
        Self { a, c, factors }
    }

    /// Q16 parts of the scores of the keys `keys` of a tile.
    ///
    /// # Panics
    /// For a tile that the table's turns do not reach.
    pub fn scores(&self, table: KeyBiasTable<'_>, tile: usize, keys: Range<usize>) -> Vec<i32> {
        debug_assert!(keys.end <= BLOCK_TOKENS);
        let columns = column_factors(table, tile, &self.a, &self.c, self.factors);
        keys.map(|t| bias_score(table, &columns, t, self.factors.mult)).collect()
    }
}
