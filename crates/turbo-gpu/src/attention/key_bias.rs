//! Key biases: `wgsl/kernels/attention/key_bias.wgsl`.
//!
//! What attention adds to the scores of keys that are stored without their projection's bias. The tables are made from
//! those of `turbo_backend::key_bias` and uploaded once: [`KeyTurnTables`] of a rotary embedding, [`SlotBiasTable`] of
//! a cache slot.

use std::ops::Range;

use turbo_backend::CHUNK_TOKENS;
use turbo_backend::key_bias::{KeyTurns, SlotBias};
use turbo_wgsl::attention::key_bias::{Bindings, PLAIN};
use turbo_wgsl::params::KeyBiasParams;

use super::decode::{MAX_HEAD_DIM, Sequence};
use crate::buffer::{Bind, Buffer};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};

const CALL: &str = "attention/key_bias";

/// The constants of a rotary embedding in GPU memory.
#[derive(Debug)]
pub struct KeyTurnTables {
    pairs: Buffer<u32>,
    columns: Buffer<f32>,
    weights: Buffer<f32>,
    tiles: Buffer<f32>,
    rotated: u32,
    fast: u32,
    width: u32,
    /// Positions that the tiles hold.
    reach: u64,
}

/// The key bias of a cache slot in GPU memory.
#[derive(Debug)]
pub struct SlotBiasTable {
    bias: Buffer<f32>,
    heads: u32,
    head_dim: u32,
    width: u32,
}

/// The key bias of an attention: of its slot, and the rotation.
#[derive(Clone, Copy, Debug)]
pub struct KeyBiasTables<'a> {
    /// The bias of every K/V head.
    pub slot: &'a SlotBiasTable,
    /// The rotation, reaching over all positions of the dispatch.
    pub turns: &'a KeyTurnTables,
}

/// Uploads `data`, or one zero: an empty buffer cannot be bound.
fn upload(gpu: &Gpu, label: &str, data: &[f32]) -> Result<Buffer<f32>, GpuError> {
    gpu.upload(label, if data.is_empty() { &[0.0] } else { data })
}

impl KeyTurnTables {
    /// Uploads `turns` with the tiles that it reaches over now.
    ///
    /// # Errors
    /// Too little memory; a failing device.
    pub fn new(gpu: &Gpu, turns: &KeyTurns) -> Result<Self, GpuError> {
        let natural = turns.natural();
        let mut pairs: Vec<u32> = turns.order().iter().flat_map(|&pair| natural[pair].map(|i| i as u32)).collect();
        // The padding, whose biases are 0, reads the first value; so does the one pair where nothing is rotated.
        pairs.resize(2 * turns.width().max(1), 0);
        Ok(Self {
            pairs: gpu.upload("key bias pairs", &pairs)?,
            columns: upload(gpu, "key bias columns", turns.columns().as_flattened())?,
            weights: upload(gpu, "key bias weights", turns.weights())?,
            tiles: upload(gpu, "key bias tiles", turns.tiles())?,
            rotated: 2 * natural.len() as u32,
            fast: turns.fast() as u32,
            width: turns.width() as u32,
            reach: (turns.n_tiles() as u64).saturating_mul(turbo_backend::BLOCK_TOKENS as u64),
        })
    }
}

impl SlotBiasTable {
    /// Uploads `slot`.
    ///
    /// # Errors
    /// Too little memory; a failing device.
    pub fn new(gpu: &Gpu, slot: &SlotBias) -> Result<Self, GpuError> {
        let mut bias = Vec::new();
        let mut width = 0;
        for head in 0..slot.n_heads() {
            let (first, second, rest) = slot.framed(head);
            width = first.len() as u32;
            bias.push(slot.exponent(head) as f32);
            bias.extend([first, second, rest].concat());
        }
        let (heads, head_dim) = (slot.n_heads() as u32, slot.head_dim() as u32);
        Ok(Self { bias: upload(gpu, "key bias", &bias)?, heads, head_dim, width })
    }

    /// K/V heads, and values of one.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.heads as usize, self.head_dim as usize)
    }
}

/// The parts of the scores that the key bias gives for some query rows.
///
/// Row r (token by token, head by head) and the key at position p have theirs at
/// `(r - rows.start) * slots * 256 + p - 256 * c`, c the first chunk that the row's sequence sees. Parts of tiles of 64
/// keys in which the row sees no key are not written; a row with inf or nan has 0.
#[derive(Clone, Debug)]
pub struct KeyBias<'a> {
    /// The bias.
    pub tables: KeyBiasTables<'a>,
    /// Query heads, a multiple of the slot's K/V heads.
    pub n_heads: u32,
    /// The sequences, as the host knows them now.
    pub known: &'a [Sequence],
    /// The same sequences, to be read by the kernel.
    pub sequences: Bind<'a>,
    /// Query heads after rope, not rotated: [token][head][head_dim] f32.
    pub query: Bind<'a>,
    /// Factor on q . k before the softmax.
    pub scale: f32,
    /// A query sees the last so many positions only.
    pub window: Option<u32>,
    /// The rows that are done: of many rows, as many at a time as `out` has room for.
    pub rows: Range<u32>,
    /// Chunks that `out` has room for in every row.
    pub slots: u32,
    /// Receives i32, in units of 2^-16 in log2: [row][slots * 256].
    pub out: Bind<'a>,
}

impl KeyBias<'_> {
    /// Bytes that `out` needs for `rows` rows whose sequences see up to `slots` chunks.
    pub fn bytes(rows: u32, slots: u32) -> u64 {
        4 * CHUNK_TOKENS as u64 * u64::from(rows) * u64::from(slots)
    }

    /// Records the dispatch.
    ///
    /// # Errors
    /// Sizes that do not fit.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        if let Some(reason) = self.problem() {
            return Err(recorder.gpu().call(CALL, reason));
        }
        let params = self.params();
        if params.rows * params.spans == 0 {
            return Ok(());
        }
        let KeyBiasTables { slot, turns } = self.tables;
        let bindings = Bindings {
            sequences: self.sequences,
            query: self.query,
            pairs: turns.pairs.bind(),
            columns: turns.columns.bind(),
            weights: turns.weights.bind(),
            tiles: turns.tiles.bind(),
            bias: slot.bias.bind(),
            key_bias: self.out,
        };
        recorder.dispatch(PLAIN, bindings, &params, Grid::linear(params.rows * params.spans))
    }

    fn chunks(&self) -> u32 {
        self.known.iter().map(|s| s.chunks(self.window)).max().unwrap_or(0)
    }

    fn params(&self) -> KeyBiasParams {
        let KeyBiasTables { slot, turns } = self.tables;
        KeyBiasParams {
            sequences: self.known.len() as u32,
            heads: self.n_heads,
            group: self.n_heads / slot.heads,
            head_dim: slot.head_dim,
            rotated: turns.rotated,
            fast: turns.fast,
            width: turns.width,
            window: self.window.unwrap_or(0),
            first_row: self.rows.start,
            rows: self.rows.end - self.rows.start,
            slots: self.slots,
            spans: self.chunks(),
            score_factor: (f64::from(self.scale) * std::f64::consts::LOG2_E) as f32,
            ..KeyBiasParams::default()
        }
    }

    /// Why this cannot be done, if so.
    fn problem(&self) -> Option<String> {
        let KeyBiasTables { slot, turns } = self.tables;
        let Range { start, end } = self.rows;
        let (n_heads, kv_heads, head_dim) = (self.n_heads, slot.heads, slot.head_dim);
        if kv_heads == 0 || n_heads == 0 || !n_heads.is_multiple_of(kv_heads) {
            return Some(format!("{n_heads} query heads are no multiple of the bias's {kv_heads} K/V heads"));
        }
        if head_dim as usize > MAX_HEAD_DIM {
            return Some(format!("heads of {head_dim} values: up to {MAX_HEAD_DIM} can be done"));
        }
        if slot.width != turns.width || turns.rotated > head_dim {
            return Some(format!(
                "the bias has {} pairs in heads of {head_dim} values, the rotation {} of {} values: they were not made \
                 for each other",
                slot.width, turns.width, turns.rotated
            ));
        }
        let tokens = self.known.iter().map(|s| u64::from(s.first) + u64::from(s.tokens)).max().unwrap_or(0);
        if start > end || u64::from(end) > tokens * u64::from(n_heads) {
            return Some(format!("rows {start}..{end} of {tokens} tokens of {n_heads} heads"));
        }
        let seen = self.known.iter().map(|s| u64::from(s.start) + u64::from(s.tokens)).max().unwrap_or(0);
        if seen > turns.reach {
            return Some(format!("sequences of {seen} positions, the rotation's tables reach over {}", turns.reach));
        }
        let (chunks, slots) = (self.chunks(), self.slots);
        if chunks > slots {
            return Some(format!("sequences see {chunks} chunks, out has room for {slots} of a row"));
        }
        if u64::from(end - start) * u64::from(chunks) > u64::from(u32::MAX) / 2 {
            return Some(format!("{} rows of {chunks} chunks are too many for one dispatch", end - start));
        }
        for (name, bytes, needed) in [
            ("query", self.query.bytes, 4 * u64::from(end) * u64::from(head_dim)),
            ("sequences", self.sequences.bytes, 16 * self.known.len() as u64),
            ("out", self.out.bytes, Self::bytes(end - start, slots)),
        ] {
            if bytes < needed {
                return Some(format!("{name} has {bytes} bytes, {needed} are needed"));
            }
        }
        None
    }
}
