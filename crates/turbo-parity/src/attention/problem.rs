//! A case with its values: queries, and keys and values in a cache.

use turbo_backend::key_bias::{KeyTurns, SlotBias};
use turbo_backend::{BLOCK_TOKENS, KvLayer};
use turbo_gpu::attention::decode::{Around, AttentionDecode, Scratch, Sequence, Side, Variants};
use turbo_gpu::attention::key_bias::{KeyBiasTables, KeyTurnTables, SlotBiasTable};
use turbo_gpu::attention::prefill::{self, AttentionPrefill, KeyBiasParts};
use turbo_gpu::kv::cache::PoolPart;
use turbo_gpu::matmul::Codes;
use turbo_gpu::{Buffer, Gpu, GpuError};

use super::Case;
use super::stored::StoredHead;
use crate::Inputs;

/// Different heads of a side: making each anew would take most of the time.
const HEADS: u32 = 61;

/// A case with its values, ready for the device and for the twin.
#[derive(Debug)]
pub struct Problem {
    pub(super) case: Case,
    pub(super) layer: KvLayer,
    /// K and V of every block together: words of a block, words before the V side.
    pub(super) pool: Vec<u32>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) tables: Vec<u32>,
    pub(super) query: Vec<f32>,
    pub(super) sinks: Option<Vec<f32>>,
    pub(super) key_bias: Option<(SlotBias, KeyTurns)>,
}

/// Buffers of a problem on a device.
#[derive(Debug)]
pub struct Uploaded {
    pool: Buffer<u32>,
    sequences: Buffer<Sequence>,
    tables: Buffer<u32>,
    query: Buffer<f32>,
    sinks: Option<Buffer<f32>>,
    key_bias: Option<(SlotBiasTable, KeyTurnTables)>,
    faults: Buffer<u32>,
    out: Buffer<f32>,
    scratch: Scratch,
}

impl Problem {
    /// The values of `case`; `None` if a type cannot store its heads.
    pub fn new(case: &Case) -> Option<Self> {
        let layer = case.layer().ok()?;
        let mut random = Inputs::new(case.seed.wrapping_mul(31).wrapping_add(case.k as u64 * 7 + case.v as u64));
        let mut sequences = Vec::new();
        let (mut first, mut blocks) = (0, 0);
        for &(keys, tokens) in &case.sequences {
            let (tokens, start) = (tokens.min(keys), keys - tokens.min(keys));
            sequences.push(Sequence { first, tokens: tokens as u32, start: start as u32, table: blocks as u32 });
            first += tokens as u32;
            blocks += keys.div_ceil(BLOCK_TOKENS);
        }
        // Blocks in no order, and one that belongs to nobody.
        let mut tables: Vec<u32> = (0..=blocks as u32).collect();
        for i in (1..tables.len()).rev() {
            tables.swap(i, random.below(i as u32 + 1) as usize);
        }
        let rows = first as usize * case.kv_heads * case.group;
        let factor = case.spread;
        let query = random.normals(rows * layer.k.head_dim).iter().map(|q| q * factor).collect();
        let sinks = case.sinks.then(|| random.normals(case.kv_heads * case.group));
        let end = case.sequences.iter().map(|&(keys, _)| keys).max().unwrap_or(0);
        let rotation = case.key_bias.as_ref();
        let key_bias = rotation.and_then(|r| r.tables(&mut random, case.kv_heads, layer.k.head_dim, end));
        let case = case.clone();
        let mut problem = Self { case, layer, pool: Vec::new(), sequences, tables, query, sinks, key_bias };
        problem.pool = vec![0; (blocks + 1) * problem.block_words()];
        problem.fill(&mut random);
        Some(problem)
    }

    pub(super) fn block_words(&self) -> usize {
        self.layer.k.block_words() + self.layer.v.block_words()
    }

    /// Stores random keys and values at every position of every sequence.
    fn fill(&mut self, random: &mut Inputs) {
        let block_words = self.block_words();
        let sides = [(self.layer.k, 0), (self.layer.v, self.layer.k.block_words())];
        for (side, offset) in sides {
            let heads: Vec<StoredHead> = (0..HEADS).map(|_| StoredHead::random(&side, random)).collect();
            for (sequence, &(keys, _)) in self.sequences.iter().zip(&self.case.sequences) {
                for position in 0..keys {
                    let block = self.tables[sequence.table as usize + position / BLOCK_TOKENS] as usize;
                    let words = &mut self.pool[block * block_words + offset..];
                    for head in 0..side.n_heads {
                        heads[random.below(HEADS) as usize].store(words, &side, head, position % BLOCK_TOKENS);
                    }
                }
            }
        }
    }

    /// The problem of sequence `index` alone, over the same cache.
    ///
    /// # Panics
    /// When there is no such sequence.
    #[must_use]
    pub fn alone(&self, index: usize) -> Self {
        let (case, sequence) = (&self.case, self.sequences[index]);
        let row = case.kv_heads * case.group * self.layer.k.head_dim;
        let (first, tokens) = (sequence.first as usize, sequence.tokens as usize);
        Self {
            case: Case { sequences: vec![case.sequences[index]], ..case.clone() },
            layer: self.layer,
            pool: self.pool.clone(),
            sequences: vec![Sequence { first: 0, ..sequence }],
            tables: self.tables.clone(),
            query: self.query[first * row..][..tokens * row].to_vec(),
            sinks: self.sinks.clone(),
            key_bias: self.key_bias.clone(),
        }
    }

    /// Query heads of all tokens.
    pub fn rows(&self) -> usize {
        self.query.len() / self.layer.k.head_dim
    }

    /// The cache slot.
    pub fn layer(&self) -> &KvLayer {
        &self.layer
    }

    /// Bytes of codes and scales that all K/V heads have to read.
    pub fn cache_bytes(&self) -> usize {
        4 * self.case.sequences.iter().map(|&(keys, _)| keys * self.block_words() / BLOCK_TOKENS).sum::<usize>()
    }

    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.layer.k.head_dim as f32).sqrt()
    }

    /// Puts everything on `gpu`.
    ///
    /// # Errors
    /// A failing device.
    pub fn upload(&self, gpu: &Gpu) -> Result<Uploaded, GpuError> {
        let chunks = self.sequences.iter().map(|s| s.chunks(self.case.window)).max().unwrap_or(0);
        let mut scratch = Scratch::new(gpu, &self.layer, self.rows(), chunks)?;
        let mut key_bias = None;
        if let Some((slot, turns)) = &self.key_bias {
            key_bias = Some((SlotBiasTable::new(gpu, slot)?, KeyTurnTables::new(gpu, turns)?));
            scratch = scratch.with_key_bias(gpu)?;
        }
        Ok(Uploaded {
            pool: gpu.upload("pool", &self.pool)?,
            sequences: gpu.upload("sequences", &self.sequences)?,
            tables: gpu.upload("tables", &self.tables)?,
            query: gpu.upload("query", &self.query)?,
            sinks: self.sinks.as_ref().map(|s| gpu.upload("sinks", s)).transpose()?,
            faults: gpu.buffer("faults", self.rows())?,
            out: gpu.buffer("out", self.rows() * self.layer.v.head_dim)?,
            key_bias,
            scratch,
        })
    }

    /// The call.
    pub fn call<'a>(&'a self, on: &'a Uploaded) -> AttentionDecode<'a> {
        let block_words = self.block_words() as u32;
        let blocks = (self.pool.len() / self.block_words()) as u32;
        let pool = PoolPart { bind: on.pool.bind(), first_block: 0, blocks, block_words };
        AttentionDecode {
            layer: &self.layer,
            n_heads: (self.case.kv_heads * self.case.group) as u32,
            known: &self.sequences,
            sequences: on.sequences.bind(),
            tables: on.tables.bind(),
            query: on.query.bind(),
            k: Side { pool, offset: 0 },
            v: Side { pool, offset: self.layer.k.block_words() as u32 },
            scale: self.scale(),
            window: self.case.window,
            soft_cap: self.case.soft_cap,
            sinks: on.sinks.as_ref().map(Buffer::bind),
            key_bias: on.key_bias.as_ref().map(|(slot, turns)| KeyBiasTables { slot, turns }),
            scratch: &on.scratch,
            faults: on.faults.bind(),
            out: on.out.bind(),
        }
    }

    /// Variants that suit `gpu`.
    ///
    /// # Errors
    /// A pair without a kernel.
    pub fn variants(&self, gpu: &Gpu) -> Result<Variants, GpuError> {
        let most = self.sequences.iter().map(|s| s.tokens).max().unwrap_or(0);
        let chosen = Variants::choose(gpu, &self.layer, self.case.group as u32 * most)?;
        Ok(Variants { span_chunks: self.case.span_chunks, ..chosen })
    }

    /// What the device computes with `variants`: [row][head_dim_v].
    ///
    /// # Errors
    /// A failing device.
    pub fn on_gpu(&self, gpu: &Gpu, variants: &Variants) -> Result<Vec<f32>, GpuError> {
        let on = self.upload(gpu)?;
        let mut recorder = gpu.recorder("attention");
        self.call(&on).record_with(&mut recorder, variants)?;
        recorder.submit()?;
        gpu.download(&on.out, 0..on.out.len())
    }

    /// What the device computes with `variants` and leaves as codes for a product, `wide` ones or not: the values that
    /// they stand for.
    ///
    /// # Errors
    /// A failing device.
    pub fn on_gpu_codes(&self, gpu: &Gpu, variants: &Variants, wide: bool) -> Result<Vec<f32>, GpuError> {
        let on = self.upload(gpu)?;
        let codes = Codes::new(gpu, on.out.len())?;
        let mut recorder = gpu.recorder("attention");
        let around = Around { queries: false, codes: Some(codes.part(wide)) };
        self.call(&on).record_part(&mut recorder, variants, &around)?;
        recorder.submit()?;
        codes.values(gpu, on.out.len(), wide)
    }

    /// What the device computes with `variants` of attention_prefill: [row][head_dim_v]. `key_bias` holds parts of the
    /// scores, [row][key] with keys up to the end of the last chunk.
    ///
    /// # Errors
    /// A failing device.
    pub fn on_gpu_prefill(
        &self,
        gpu: &Gpu,
        variants: &prefill::Variants,
        key_bias: Option<&[i32]>,
    ) -> Result<Vec<f32>, GpuError> {
        let on = self.upload(gpu)?;
        let parts = key_bias.map(|parts| gpu.upload("key bias", parts)).transpose()?;
        let stride = key_bias.map_or(0, |parts| parts.len() / self.rows()) as u32;
        let key_bias = parts.as_ref().map(|parts| KeyBiasParts { parts: parts.bind(), stride });
        let mut recorder = gpu.recorder("attention");
        AttentionPrefill { job: self.call(&on), key_bias }.record_with(&mut recorder, variants)?;
        recorder.submit()?;
        gpu.download(&on.out, 0..on.out.len())
    }

    /// The values on the device after a call has run.
    ///
    /// # Errors
    /// A failing device.
    pub fn result(&self, gpu: &Gpu, on: &Uploaded) -> Result<Vec<f32>, GpuError> {
        gpu.download(&on.out, 0..on.out.len())
    }
}
