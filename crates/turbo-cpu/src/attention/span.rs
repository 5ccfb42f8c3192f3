//! One task: some query tokens of one K/V head over a run of chunks.

use std::cell::RefCell;
use std::ops::Range;

use turbo_backend::{BLOCK_TOKENS as TILE, CHUNK_TOKENS, SideLayout};

use super::AttentionFault;
use super::exact::score::from_log2;
use super::float_sums::FloatSums;
use super::fold_sums::IntSums;
use super::query::QueryRows;
use super::shape::{Shape, keys_of};
use super::simd::{Keys, ScoreTile};
use super::tiles::{KeyTile, ValueTile};

/// Sums of the rows of a task over some keys.
#[derive(Clone)]
pub(super) enum Sums {
    /// Coded V.
    Int(IntSums),
    /// f16 V.
    Float(FloatSums),
}

impl Sums {
    /// Sums over no keys.
    pub(super) fn empty(shape: &Shape<'_>, rows: usize) -> Self {
        let mut sums = if shape.coded_v() { Self::Int(IntSums::default()) } else { Self::Float(FloatSums::default()) };
        sums.clear(shape, rows);
        sums
    }

    fn clear(&mut self, shape: &Shape<'_>, rows: usize) {
        match self {
            Self::Int(sums) => sums.clear(shape, rows),
            Self::Float(sums) => sums.clear(shape, rows),
        }
    }

    /// Adds the sums of a later chunk.
    pub(super) fn fold(&mut self, shape: &Shape<'_>, part: &Self) {
        match (self, part) {
            (Self::Int(sums), Self::Int(part)) => sums.fold(shape.simd, part, &shape.v_sizes),
            (Self::Float(sums), Self::Float(part)) => sums.fold(part),
            _ => {}
        }
    }

    /// The output head of a row.
    pub(super) fn output(&self, shape: &Shape<'_>, row: usize, head: usize, out: &mut [f32]) {
        let logit = shape.sinks.map(|sinks| sinks[head]);
        match self {
            Self::Int(sums) => sums.output(shape, row, logit, out),
            Self::Float(sums) => sums.output(row, logit, out),
        }
    }
}

/// Buffers that a thread keeps from task to task.
#[derive(Default)]
struct Scratch {
    queries: QueryRows,
    keys: KeyTile,
    values: ValueTile,
    part: Vec<i32>,
    /// Factors of a key bias turned to a tile.
    turned: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Sums the chunks of one task up, calling `done` with the sums of every chunk, in order.
pub(super) fn each_chunk(
    shape: &Shape<'_>,
    kv_head: usize,
    tokens: Range<usize>,
    chunks: Range<usize>,
    mut done: impl FnMut(&Sums),
) -> Result<(), AttentionFault> {
    SCRATCH.with_borrow_mut(|scratch| {
        let rows = tokens.len() * shape.group();
        scratch.queries.prepare(shape, kv_head, tokens.clone())?;
        let seen = shape.visible_to_any(&tokens);
        let mut sums = Sums::empty(shape, rows);
        for chunk in chunks {
            sums.clear(shape, rows);
            for tile in chunk * CHUNK_TOKENS / TILE..(chunk + 1) * CHUNK_TOKENS / TILE {
                let keys = keys_of(tile, &seen);
                if !keys.is_empty() {
                    let next = (tile + 1) * TILE < seen.end;
                    prefetch(shape, &shape.layer.k, shape.k_pool, kv_head, next.then_some(tile + 1));
                    scratch.keys.expand(shape, kv_head, tile, &keys);
                    prefetch(shape, &shape.layer.v, shape.v_pool, kv_head, next.then_some(tile + 1));
                    scratch.values.expand(shape, kv_head, tile, &keys);
                    scratch.add_tile(shape, tokens.clone(), tile, &mut sums);
                }
            }
            done(&sums);
        }
        Ok(())
    })
}

/// Asks for the tile that is next on one side: the units of a head lie apart, which hides the pattern from the
/// processor.
fn prefetch(shape: &Shape<'_>, side: &SideLayout, pool: &[u32], kv_head: usize, tile: Option<usize>) {
    if let Some(tile) = tile {
        let (codes, scales) = side.unit(pool, shape.blocks[tile] as usize, kv_head);
        shape.simd.prefetch(codes);
        shape.simd.prefetch(scales);
    }
}

impl Scratch {
    /// Adds an expanded tile to every row that sees some of it.
    fn add_tile(&mut self, shape: &Shape<'_>, tokens: Range<usize>, tile: usize, sums: &mut Sums) {
        let group = shape.group();
        for (t, token) in tokens.enumerate() {
            let keys = keys_of(tile, &shape.visible(token));
            let range = (keys.start, keys.end);
            if keys.is_empty() {
                continue;
            }
            for row in t * group..(t + 1) * group {
                match sums {
                    Sums::Int(sums) => {
                        let scores = self.int_scores(shape, row, tile, range);
                        sums.add_tile(shape, row, &scores, range, &self.values, &mut self.part);
                    }
                    Sums::Float(sums) => {
                        let scores = self.float_scores(shape, row, tile, range);
                        sums.add_tile(shape, row, &scores, range, &self.values);
                    }
                }
            }
        }
    }

    /// Q16 scores of a row, capped.
    fn int_scores(&mut self, shape: &Shape<'_>, row: usize, tile: usize, (from, to): (usize, usize)) -> Keys<i32> {
        let mut scores = if shape.coded_k() {
            self.coded_scores(shape, row, tile)
        } else {
            let query = self.queries.plain(shape, row);
            shape.simd.dots(query, &self.keys.plain, shape.scale_log2e, from, to).map(from_log2)
        };
        if let Some(cap) = shape.cap {
            scores[from..to].iter_mut().for_each(|s| *s = cap.apply(*s));
        }
        scores
    }

    fn coded_scores(&mut self, shape: &Shape<'_>, row: usize, tile: usize) -> Keys<i32> {
        let keys = ScoreTile { levels: &self.keys.levels, scales: &self.keys.scales, sizes: &shape.k_sizes };
        let mut scores = shape.simd.scores(self.queries.coded(shape, row), keys);
        if let Some(table) = shape.score_bias() {
            let width = table.turns.width();
            self.turned.resize(2 * width, 0.0);
            let (row, tile) = (self.queries.biased(row, width), Shape::bias_tile(table, tile));
            shape.simd.add_bias(row, tile, &mut self.turned, &mut scores);
        }
        scores
    }

    /// Float scores of a row in log2 units, capped.
    fn float_scores(&mut self, shape: &Shape<'_>, row: usize, tile: usize, (from, to): (usize, usize)) -> Keys<f32> {
        if shape.coded_k() {
            return self.int_scores(shape, row, tile, (from, to)).map(|s| s as f32 * (1.0 / 65536.0));
        }
        let query = self.queries.plain(shape, row);
        let mut scores = shape.simd.dots(query, &self.keys.plain, shape.scale_log2e, from, to);
        if let Some(cap) = shape.cap_log2 {
            scores[from..to].iter_mut().for_each(|s| *s = cap * (*s / cap).tanh());
        }
        scores
    }
}
