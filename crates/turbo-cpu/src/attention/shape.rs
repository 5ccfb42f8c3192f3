//! What all tasks of one attention job share.

use std::ops::Range;

use turbo_backend::{BLOCK_TOKENS, CHUNK_TOKENS, KvLayer};
use turbo_quant::KvType;
use turbo_quant::kv::block_shift;

use super::AttentionJob;
use super::exact::cap::SoftCap;
use super::exact::tile::{NARROW, WIDE, WeightWidth};
use super::simd::{BiasTile, LANES, Simd, Unpack};
use turbo_backend::key_bias::KeyBiasTable;

/// The read-only side of a job, with what follows from it.
pub(super) struct Shape<'a> {
    pub(super) simd: Simd,
    pub(super) layer: &'a KvLayer,
    pub(super) k_pool: &'a [u32],
    pub(super) v_pool: &'a [u32],
    pub(super) blocks: &'a [u32],
    pub(super) q: &'a [f32],
    pub(super) sinks: Option<&'a [f32]>,
    pub(super) key_bias: Option<KeyBiasTable<'a>>,
    pub(super) start: usize,
    pub(super) n_heads: usize,
    pub(super) window: Option<usize>,
    /// f32(softmax scale * log2(e)).
    pub(super) scale_log2e: f32,
    /// Soft cap for Q16 scores.
    pub(super) cap: Option<SoftCap>,
    /// Soft cap for float scores, in log2 units.
    pub(super) cap_log2: Option<f32>,
    /// Scale blocks of K and V; empty for f16.
    pub(super) k_sizes: Vec<usize>,
    pub(super) v_sizes: Vec<usize>,
    /// How codes become levels.
    pub(super) k_unpack: Unpack,
    pub(super) v_unpack: Unpack,
    /// Shift of every scale block of V.
    pub(super) v_shifts: Vec<i32>,
    /// Width of the weights of V.
    pub(super) width: WeightWidth,
}

impl<'a> Shape<'a> {
    pub(super) fn new(simd: Simd, job: &'a AttentionJob<'_>) -> Self {
        let (k, v) = (&job.layer.k, &job.layer.v);
        let v_sizes = v.kv_type.scale_block_sizes(v.head_dim);
        let log2e = std::f64::consts::LOG2_E;
        Self {
            simd,
            layer: job.layer,
            k_pool: job.k_pool,
            v_pool: job.v_pool,
            blocks: job.blocks,
            q: job.q,
            sinks: job.sinks,
            key_bias: job.key_bias,
            start: job.start,
            n_heads: job.n_heads,
            window: job.window,
            scale_log2e: (f64::from(job.scale) * log2e) as f32,
            cap: job.soft_cap.map(SoftCap::new),
            cap_log2: job.soft_cap.map(|c| (f64::from(c) * log2e) as f32),
            k_sizes: k.kv_type.scale_block_sizes(k.head_dim),
            v_shifts: v_sizes.iter().map(|&n| block_shift(v.kv_type, n)).collect(),
            v_sizes,
            k_unpack: Unpack::new(*k),
            v_unpack: Unpack::new(*v),
            width: if v.kv_type == KvType::Q8_0 { WIDE } else { NARROW },
        }
    }

    /// Query heads of one K/V head.
    pub(super) fn group(&self) -> usize {
        self.n_heads / self.layer.shape.n_kv_heads
    }

    /// Planes of i8 that a coded query takes.
    pub(super) fn planes(&self) -> usize {
        if self.layer.k.kv_type == KvType::Q8_0 { 2 } else { 1 }
    }

    /// The bias to be added to the scores of coded keys.
    pub(super) fn score_bias(&self) -> Option<KeyBiasTable<'a>> {
        self.key_bias.filter(|_| self.coded_k())
    }

    /// Its constants for one tile.
    pub(super) fn bias_tile(table: KeyBiasTable<'a>, tile: usize) -> BiasTile<'a> {
        let turns = table.turns;
        let (cos, sin) = turns.tile(tile);
        BiasTile { cos, sin, fast: turns.fast(), weights: turns.weights(), columns: turns.columns() }
    }

    /// Whether the values are summed in integers.
    pub(super) fn coded_v(&self) -> bool {
        self.layer.v.kv_type.is_coded()
    }

    /// Whether the scores are integer dot products.
    pub(super) fn coded_k(&self) -> bool {
        self.layer.k.kv_type.is_coded()
    }

    /// Values of a K or V row in f32, padded.
    pub(super) fn padded(d: usize) -> usize {
        d.next_multiple_of(LANES)
    }

    /// Positions that the query of token `token` of the job sees.
    pub(super) fn visible(&self, token: usize) -> Range<usize> {
        let end = self.start + token + 1;
        self.window.map_or(0, |w| end.saturating_sub(w))..end
    }

    /// Positions that any of these tokens sees; `tokens` is not empty.
    pub(super) fn visible_to_any(&self, tokens: &Range<usize>) -> Range<usize> {
        self.visible(tokens.start).start..self.visible(tokens.end - 1).end
    }

    /// Chunks that these tokens see.
    pub(super) fn chunks(&self, tokens: &Range<usize>) -> Range<usize> {
        let seen = self.visible_to_any(tokens);
        seen.start / CHUNK_TOKENS..seen.end.div_ceil(CHUNK_TOKENS)
    }
}

/// Keys of a tile that lie in `visible`, counted from the tile's start.
pub(super) fn keys_of(tile: usize, visible: &Range<usize>) -> Range<usize> {
    let start = tile * BLOCK_TOKENS;
    let at = |position: usize| position.clamp(start, start + BLOCK_TOKENS) - start;
    at(visible.start)..at(visible.end)
}
