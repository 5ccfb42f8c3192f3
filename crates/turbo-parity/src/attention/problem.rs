//! A case with its values: queries, and keys and values in a cache.

use turbo_backend::{BLOCK_TOKENS, KvLayer, SideLayout};
use turbo_cpu::attention::twin::{HeadCache, HeadQuery, attend};
use turbo_cpu::attention::{AttentionJob, attention};
use turbo_cpu::pool::ThreadPool;
use turbo_gpu::attention::decode::{AttentionDecode, Scratch, Sequence, Side, Variants};
use turbo_gpu::attention::prefill::{self, AttentionPrefill, KeyBiasParts};
use turbo_gpu::kv::cache::PoolPart;
use turbo_gpu::{Buffer, Gpu, GpuError};
use turbo_quant::kv::encode_head;

use super::Case;
use crate::Inputs;

/// More keys than this are left to the fast CPU path, which its own tests hold to the twin.
const TWIN_KEYS: usize = 4096;

/// A case with its values, ready for the device and for the twin.
#[derive(Debug)]
pub struct Problem {
    case: Case,
    layer: KvLayer,
    /// K and V of every block together: words of a block, words before the V side.
    pool: Vec<u32>,
    sequences: Vec<Sequence>,
    tables: Vec<u32>,
    query: Vec<f32>,
    sinks: Option<Vec<f32>>,
}

/// Buffers of a problem on a device.
#[derive(Debug)]
pub struct Uploaded {
    pool: Buffer<u32>,
    sequences: Buffer<Sequence>,
    tables: Buffer<u32>,
    query: Buffer<f32>,
    sinks: Option<Buffer<f32>>,
    faults: Buffer<u32>,
    out: Buffer<f32>,
    scratch: Scratch,
}

impl Problem {
    /// The values of `case`; `None` if a type cannot store its heads.
    pub fn new(case: &Case) -> Option<Self> {
        let layer = case.layer().ok()?;
        let mut random = Inputs::new(case.seed * 31 + case.k as u64 * 7 + case.v as u64);
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
        let mut problem = Self { case: case.clone(), layer, pool: Vec::new(), sequences, tables, query, sinks };
        problem.pool = vec![0; (blocks + 1) * problem.block_words()];
        problem.fill(&mut random);
        Some(problem)
    }

    fn block_words(&self) -> usize {
        self.layer.k.block_words() + self.layer.v.block_words()
    }

    /// Stores random keys and values at every position of every sequence.
    fn fill(&mut self, random: &mut Inputs) {
        // Normal values of a limited number of heads: making them anew would take most of the time.
        let heads: Vec<Vec<f32>> =
            (0..257).map(|_| random.normals(self.layer.k.head_dim.max(self.layer.v.head_dim))).collect();
        let block_words = self.block_words();
        let sides = [(self.layer.k, 0), (self.layer.v, self.layer.k.block_words())];
        for (sequence, &(keys, _)) in self.sequences.iter().zip(&self.case.sequences) {
            for position in 0..keys {
                let block = self.tables[sequence.table as usize + position / BLOCK_TOKENS] as usize;
                for (side, offset) in sides {
                    let base = block * block_words + offset;
                    for head in 0..side.n_heads {
                        let mut values = heads[random.below(257) as usize][..side.head_dim].to_vec();
                        let amplitude = f32::from_bits((126 + random.below(3)) << 23);
                        values.iter_mut().for_each(|x| *x *= amplitude);
                        store(&mut self.pool[base..], &side, head, position % BLOCK_TOKENS, &values);
                    }
                }
            }
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

    fn scale(&self) -> f32 {
        1.0 / (self.layer.k.head_dim as f32).sqrt()
    }

    /// Puts everything on `gpu`.
    ///
    /// # Errors
    /// A failing device.
    pub fn upload(&self, gpu: &Gpu) -> Result<Uploaded, GpuError> {
        let chunks = self.sequences.iter().map(|s| s.chunks(self.case.window)).max().unwrap_or(0);
        Ok(Uploaded {
            pool: gpu.upload("pool", &self.pool)?,
            sequences: gpu.upload("sequences", &self.sequences)?,
            tables: gpu.upload("tables", &self.tables)?,
            query: gpu.upload("query", &self.query)?,
            sinks: self.sinks.as_ref().map(|s| gpu.upload("sinks", s)).transpose()?,
            faults: gpu.buffer("faults", self.rows())?,
            out: gpu.buffer("out", self.rows() * self.layer.v.head_dim)?,
            scratch: Scratch::new(gpu, &self.layer, self.rows(), chunks)?,
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

    /// The K and V pools one by one, as the twin has them.
    fn split_pool(&self) -> (Vec<u32>, Vec<u32>) {
        let (mut k, mut v) = (Vec::new(), Vec::new());
        for block in self.pool.chunks_exact(self.block_words()) {
            let (block_k, block_v) = block.split_at(self.layer.k.block_words());
            k.extend(block_k);
            v.extend(block_v);
        }
        (k, v)
    }

    /// What the twin computes.
    pub fn of_twin(&self) -> Vec<f32> {
        let (k_pool, v_pool) = self.split_pool();
        let n_heads = self.case.kv_heads * self.case.group;
        let (dk, dv) = (self.layer.k.head_dim, self.layer.v.head_dim);
        let mut out = vec![0.0; self.rows() * dv];
        let threads = ThreadPool::with_default_threads();
        for (sequence, &(keys, _)) in self.sequences.iter().zip(&self.case.sequences) {
            let (first, tokens) = (sequence.first as usize, sequence.tokens as usize);
            let blocks = &self.tables[sequence.table as usize..][..keys.div_ceil(BLOCK_TOKENS)];
            let q = &self.query[first * n_heads * dk..][..tokens * n_heads * dk];
            let out = &mut out[first * n_heads * dv..][..tokens * n_heads * dv];
            let window = self.case.window.map(|w| w as usize);
            let exact = self.case.k.is_coded() && self.case.v.is_coded();
            if exact && keys > TWIN_KEYS {
                let job = AttentionJob {
                    layer: &self.layer,
                    k_pool: &k_pool,
                    v_pool: &v_pool,
                    key_bias: None,
                    blocks,
                    start: sequence.start as usize,
                    n_tokens: tokens,
                    q,
                    n_heads,
                    scale: self.scale(),
                    window,
                    soft_cap: self.case.soft_cap,
                    sinks: self.sinks.as_deref(),
                    out,
                };
                // The queries are finite.
                let _ = attention(&threads, job);
                continue;
            }
            for (row, out) in out.chunks_exact_mut(dv).enumerate() {
                let head = row % n_heads;
                let cache = HeadCache {
                    layer: &self.layer,
                    k_pool: &k_pool,
                    v_pool: &v_pool,
                    key_bias: None,
                    blocks,
                    kv_head: head / self.case.group,
                };
                let query = HeadQuery {
                    q: &q[row * dk..][..dk],
                    position: sequence.start as usize + row / n_heads,
                    scale: self.scale(),
                    window,
                    soft_cap: self.case.soft_cap,
                    sink: self.sinks.as_ref().map(|s| s[head]),
                };
                let _ = attend(&cache, &query, out);
            }
        }
        out
    }
}

/// Stores one head at `place` of a block that starts at `block[0]`.
fn store(block: &mut [u32], side: &SideLayout, head: usize, place: usize, values: &[f32]) {
    let (mut codes, mut scales) = (vec![0; side.code_words], vec![0; side.scale_blocks]);
    // The values are far from the ends of f16.
    if encode_head(side.kv_type, values, &mut codes, &mut scales).is_err() {
        return;
    }
    let (unit_codes, unit_scales) =
        block[head * side.unit_words()..][..side.unit_words()].split_at_mut(BLOCK_TOKENS * side.code_words);
    unit_codes[place * side.code_words..][..side.code_words].copy_from_slice(&codes);
    for (b, &bits) in scales.iter().enumerate() {
        unit_scales[b * BLOCK_TOKENS / 2 + place / 2] |= u32::from(bits) << (16 * (place % 2));
    }
}
