//! `attention/key_bias` against its twin.

use std::fmt;
use std::ops::Range;

use turbo_backend::key_bias::{KeyBiasTable, KeyTurns, SlotBias};
use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_backend::{BLOCK_TOKENS, CHUNK_TOKENS};
use turbo_cpu::attention::key_bias::BiasQuery;
use turbo_gpu::attention::decode::Sequence;
use turbo_gpu::attention::key_bias::{KeyBias, KeyBiasTables, KeyTurnTables, SlotBiasTable};
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant, attention};

use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `attention/key_bias`.
pub(crate) struct Bias;

impl Parity for Bias {
    fn kernel(&self) -> &'static Kernel {
        &attention::key_bias::KERNEL
    }

    fn run(&self, gpu: &Gpu, _: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        for case in BiasCase::all(effort) {
            let Some(problem) = Problem::new(&case) else {
                tally.mismatches += 1;
                continue;
            };
            let got = problem.on_gpu(gpu)?;
            let want = problem.of_twin();
            // Parts that nobody reads are not compared.
            let kept = |parts: &[i32]| -> Vec<u32> {
                parts.iter().zip(&want).map(|(&got, want)| if want.is_some() { got as u32 } else { 0 }).collect()
            };
            let expected: Vec<u32> = want.iter().map(|part| part.unwrap_or(0) as u32).collect();
            tally.compare_bits(&case.to_string(), &kept(&got), &expected, CHUNK_TOKENS);
        }
        Ok(())
    }
}

/// A rotation and a bias, of an attention case or of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    /// Which values form a pair.
    pub style: RopeStyle,
    /// How many values of a head are rotated; even.
    pub rotated: usize,
    /// Base of the frequencies.
    pub base: f64,
    /// Factor on sine and cosine.
    pub magnitude: f32,
    /// Standard deviation of the bias; keys have about 1.
    pub size: f32,
}

impl Rotation {
    /// As in most models with key biases: a base of a million, the bias 50 times the keys.
    pub const fn new(rotated: usize) -> Self {
        Self { style: RopeStyle::Neox, rotated, base: 1e6, magnitude: 1.0, size: 50.0 }
    }

    /// The constants, and a random bias of `kv_heads` heads, over `end` positions; `None` if it is not finite.
    pub(super) fn tables(
        &self,
        random: &mut Inputs,
        kv_heads: usize,
        head_dim: usize,
        end: usize,
    ) -> Option<(SlotBias, KeyTurns)> {
        let frequency = |pair: usize| self.base.powf(-((2 * pair) as f64) / self.rotated as f64) as f32;
        let inv_freq = (0..self.rotated / 2).map(frequency).collect();
        let table = RopeTable { style: self.style, inv_freq, magnitude: self.magnitude };
        let mut turns = KeyTurns::new(&table);
        turns.reach(end);
        let bias: Vec<f32> = random.normals(kv_heads * head_dim).iter().map(|b| b * self.size).collect();
        Some((SlotBias::new(&bias, head_dim, &table, &turns).ok()?, turns))
    }
}

/// One shape with everything that is needed to try it again.
#[derive(Clone, Debug)]
struct BiasCase {
    head_dim: usize,
    kv_heads: usize,
    group: usize,
    rotation: Rotation,
    /// Keys and query tokens of every sequence; the tokens are the last ones.
    sequences: Vec<(usize, usize)>,
    window: Option<u32>,
    /// Rows of a dispatch.
    slice: u32,
    /// Chunks of a row that nothing is written to.
    spare_slots: u32,
    /// Whether queries have every kind of edge, inf and nan included.
    edges: bool,
}

impl fmt::Display for BiasCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl BiasCase {
    /// One sequence with one query token, one head.
    fn new(head_dim: usize, rotated: usize, keys: usize) -> Self {
        Self {
            head_dim,
            kv_heads: 1,
            group: 1,
            rotation: Rotation::new(rotated),
            sequences: vec![(keys, 1)],
            window: None,
            slice: u32::MAX,
            spare_slots: 0,
            edges: false,
        }
    }

    fn all(effort: Effort) -> Vec<Self> {
        let new = Self::new;
        let plain = Rotation::new;
        let interleaved = |rotated| Rotation { style: RopeStyle::Interleaved, ..plain(rotated) };
        let mut cases = vec![
            new(128, 128, 1),
            new(128, 128, 64),
            new(64, 64, 257),
            Self { group: 3, rotation: Rotation { base: 1e4, ..interleaved(80) }, ..new(80, 80, 65) },
            // Values that are not rotated, fewer and more than eight; then no others.
            Self { kv_heads: 2, group: 2, rotation: interleaved(90), ..new(96, 90, 63) },
            Self { kv_heads: 2, rotation: Rotation { base: 1e4, ..plain(32) }, ..new(112, 32, 100) },
            new(48, 0, 70),
            // All pairs fast; all slow; the largest head.
            Self { rotation: Rotation { base: 1.5, magnitude: 1.2, ..plain(64) }, ..new(64, 64, 130) },
            Self { rotation: Rotation { base: 1e9, ..plain(2) }, ..new(16, 2, 130) },
            new(576, 576, 40),
            Self { rotation: Rotation { size: 0.0, ..plain(64) }, ..new(64, 64, 40) },
            Self { group: 24, edges: true, ..new(64, 64, 66) },
            Self { group: 24, edges: true, rotation: Rotation { size: 1e30, ..plain(40) }, ..new(64, 40, 66) },
            Self { window: Some(300), rotation: Rotation { magnitude: 0.7, ..plain(128) }, ..new(128, 128, 131_072) },
            // Row ranges that cut tokens, and spare room.
            Self { kv_heads: 2, sequences: vec![(300, 4)], slice: 3, spare_slots: 1, ..new(32, 32, 300) },
        ];
        let sequences = vec![(600, 3), (1, 1), (257, 2), (64, 2)];
        cases.push(Self { sequences, kv_heads: 2, group: 2, window: Some(100), slice: 7, ..new(64, 64, 600) });
        if effort == Effort::Full {
            for (i, head_dim) in [16, 64, 80, 96, 128, 192, 256, 576].into_iter().enumerate() {
                for (j, keys) in [64, 255, 1000, 4096].into_iter().enumerate() {
                    let rotated = [head_dim, head_dim / 4 * 2, head_dim - 6][(i + j) % 3];
                    let rotation = if i % 2 == 0 { plain(rotated) } else { interleaved(rotated) };
                    let rotation = Rotation { base: [1e4, 1e6, 5e5][j % 3], ..rotation };
                    let sequences = vec![(keys, 1 + 3 * j), (300 + i, 5)];
                    let (group, slice) = (1 + (i + 2 * j) % 7, 40);
                    cases.push(Self { rotation, kv_heads: 2, sequences, group, slice, ..new(head_dim, rotated, keys) });
                }
            }
            cases.push(Self { group: 7, ..new(128, 128, 131_072) });
        }
        cases
    }
}

/// A case with its values.
struct Problem {
    case: BiasCase,
    slot: SlotBias,
    turns: KeyTurns,
    sequences: Vec<Sequence>,
    query: Vec<f32>,
}

impl Problem {
    const SCALE: f32 = 0.125;

    /// `None` if the bias is not finite.
    fn new(case: &BiasCase) -> Option<Self> {
        let mut random = Inputs::new(case.head_dim as u64 * 1000 + case.sequences.len() as u64);
        let mut first = 0;
        let sequences = case.sequences.iter().map(|&(keys, tokens)| {
            let (tokens, at) = (tokens as u32, first);
            first += tokens;
            Sequence { first: at, tokens, start: keys as u32 - tokens, table: 0 }
        });
        let sequences: Vec<Sequence> = sequences.collect();
        let rows = first as usize * case.kv_heads * case.group;
        let d = case.head_dim;
        let query = if case.edges { random.any(rows, d) } else { random.normals(rows * d) };
        let end = case.sequences.iter().map(|&(keys, _)| keys).max().unwrap_or(0);
        let (slot, turns) = case.rotation.tables(&mut random, case.kv_heads, d, end)?;
        Some(Self { case: case.clone(), slot, turns, sequences, query })
    }

    fn n_heads(&self) -> usize {
        self.case.kv_heads * self.case.group
    }

    fn rows(&self) -> u32 {
        (self.query.len() / self.case.head_dim) as u32
    }

    /// Chunks of a row.
    fn slots(&self) -> u32 {
        let chunks = self.sequences.iter().map(|s| s.chunks(self.case.window)).max().unwrap_or(0);
        chunks + self.case.spare_slots
    }

    /// [row][slot][key of the chunk].
    fn on_gpu(&self, gpu: &Gpu) -> Result<Vec<i32>, GpuError> {
        let turns = KeyTurnTables::new(gpu, &self.turns)?;
        let slot = SlotBiasTable::new(gpu, &self.slot)?;
        let sequences = gpu.upload("sequences", &self.sequences)?;
        let query = gpu.upload("query", &self.query)?;
        let slice = self.case.slice.min(self.rows());
        let row = self.slots() as usize * CHUNK_TOKENS;
        let out = gpu.buffer::<i32>("key bias parts", slice as usize * row)?;
        let mut all = Vec::new();
        for start in (0..self.rows()).step_by(slice as usize) {
            let rows = start..self.rows().min(start + slice);
            let n = rows.len();
            let call = KeyBias {
                tables: KeyBiasTables { slot: &slot, turns: &turns },
                n_heads: self.n_heads() as u32,
                known: &self.sequences,
                sequences: sequences.bind(),
                query: query.bind(),
                scale: Self::SCALE,
                window: self.case.window,
                rows,
                slots: self.slots(),
                out: out.bind(),
            };
            let mut recorder = gpu.recorder("key bias");
            call.record(&mut recorder)?;
            recorder.submit()?;
            all.extend(gpu.download(&out, 0..n * row)?);
        }
        Ok(all)
    }

    /// The same; `None` where nothing is written.
    fn of_twin(&self) -> Vec<Option<i32>> {
        let slots = self.slots() as usize;
        let mut out = vec![None; self.rows() as usize * slots * CHUNK_TOKENS];
        for sequence in &self.sequences {
            let seen = |token: u32| {
                let end = sequence.start as usize + token as usize + 1;
                self.case.window.map_or(0, |w| end.saturating_sub(w as usize))..end
            };
            let base = seen(0).start / CHUNK_TOKENS * CHUNK_TOKENS;
            for token in 0..sequence.tokens {
                for head in 0..self.n_heads() {
                    let row = (sequence.first + token) as usize * self.n_heads() + head;
                    let out = &mut out[row * slots * CHUNK_TOKENS..][..slots * CHUNK_TOKENS];
                    self.row_of_twin(row, &seen(token), base, out);
                }
            }
        }
        out
    }

    /// The parts of one row for the tiles with keys in `seen`; `out` starts at position `base`.
    fn row_of_twin(&self, row: usize, seen: &Range<usize>, base: usize, out: &mut [Option<i32>]) {
        let table = KeyBiasTable { slot: &self.slot, turns: &self.turns };
        let q = &self.query[row * self.case.head_dim..][..self.case.head_dim];
        let kv_head = row % self.n_heads() / self.case.group;
        let finite = q.iter().all(|x| x.is_finite());
        let query = finite.then(|| BiasQuery::new(table, kv_head, Self::SCALE, q));
        for tile in seen.start / BLOCK_TOKENS..seen.end.div_ceil(BLOCK_TOKENS) {
            let out = &mut out[tile * BLOCK_TOKENS - base..][..BLOCK_TOKENS];
            let scores = query.as_ref().map(|query| query.scores(table, tile, 0..BLOCK_TOKENS));
            for (out, score) in out.iter_mut().zip(scores.unwrap_or_else(|| vec![0; BLOCK_TOKENS])) {
                *out = Some(score);
            }
        }
    }
}
