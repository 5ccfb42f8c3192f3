//! Attention of few query tokens: `wgsl/kernels/attention/{query_codes,attention_decode,attention_combine}.wgsl`.

use bytemuck::{Pod, Zeroable};
use turbo_backend::{CHUNK_TOKENS, KvLayer};
use turbo_quant::KvType;
use turbo_wgsl::params::AttentionParams;
use turbo_wgsl::{Variant, attention};

use super::key_bias::{KeyBias, KeyBiasTables};
use super::queries::query_words;
use crate::buffer::{Bind, Buffer};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kv::cache::PoolPart;
use crate::matmul::CodesPart;
use crate::recorder::{Grid, Recorder};
use crate::weights::UNIT;

/// Largest head that the kernels have room for.
pub const MAX_HEAD_DIM: usize = 576;

/// Rows of a sequence that attention_short gives a workgroup each.
const FEW_SHORT_ROWS: u32 = 64;

/// One sequence of a dispatch, as the kernels read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Sequence {
    /// Its first query token among those of the dispatch.
    pub first: u32,
    /// Number of its query tokens; they follow each other.
    pub tokens: u32,
    /// Position of the first. The keys of all of them are in the cache already.
    pub start: u32,
    /// First entry of its block table.
    pub table: u32,
}

impl Sequence {
    /// Chunks that its tokens see together.
    pub fn chunks(&self, window: Option<u32>) -> u32 {
        if self.tokens == 0 {
            return 0;
        }
        let chunk = CHUNK_TOKENS as u32;
        let first = window.map_or(0, |w| (self.start + 1).saturating_sub(w.max(1)));
        (self.start + self.tokens - 1) / chunk + 1 - first / chunk
    }
}

/// Memory that the kernels of one attention hand results on in.
#[derive(Debug)]
pub struct Scratch {
    pub(super) codes: Buffer<u32>,
    pub(super) mults: Buffer<f32>,
    partials: Buffer<u32>,
    key_bias: Option<Buffer<i32>>,
    rows: u32,
    slots: u32,
}

impl Scratch {
    /// Room for `rows` query heads (tokens x heads) on `layer`, whose sequences see up to `chunks` chunks.
    ///
    /// # Errors
    /// Too little memory.
    pub fn new(gpu: &Gpu, layer: &KvLayer, rows: usize, chunks: u32) -> Result<Self, GpuError> {
        let partial = partial_words(layer) as usize;
        Ok(Self {
            codes: gpu.buffer("query codes", rows * query_words(layer))?,
            mults: gpu.buffer("query mults", (rows * layer.k.scale_blocks).max(1))?,
            partials: gpu.buffer("attention partials", rows * chunks as usize * partial)?,
            key_bias: None,
            rows: rows as u32,
            slots: chunks,
        })
    }

    /// The same for attention_prefill, which has no partials.
    ///
    /// # Errors
    /// Too little memory.
    pub fn without_partials(gpu: &Gpu, layer: &KvLayer, rows: usize, chunks: u32) -> Result<Self, GpuError> {
        Ok(Self { slots: chunks, ..Self::new(gpu, layer, rows, 0)? })
    }

    /// So many words of the queries' codes, and so many of their factors: for tests.
    ///
    /// # Errors
    /// A failing device.
    pub fn queries(&self, gpu: &Gpu, words: usize, mults: usize) -> Result<(Vec<u32>, Vec<f32>), GpuError> {
        Ok((gpu.download(&self.codes, 0..words)?, gpu.download(&self.mults, 0..mults)?))
    }

    /// Keys of a row that key biases have room for.
    pub(super) fn keys(&self) -> u32 {
        self.slots * CHUNK_TOKENS as u32
    }

    /// The same with room for the scores' parts that a key bias gives.
    ///
    /// # Errors
    /// Too little memory.
    pub fn with_key_bias(self, gpu: &Gpu) -> Result<Self, GpuError> {
        let parts = (KeyBias::bytes(self.rows, self.slots) / 4).max(1);
        Ok(Self { key_bias: Some(gpu.buffer("key bias parts", parts as usize)?), ..self })
    }
}

/// Words that one span of keys leaves per query head.
fn partial_words(layer: &KvLayer) -> u64 {
    // The head is padded to whole vectors.
    ((2 + 2 * layer.v.scale_blocks.max(1)).next_multiple_of(4) + layer.v.head_dim) as u64
}

/// One side of a cache slot in GPU memory.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Its blocks, all in one binding.
    pub pool: PoolPart<'a>,
    /// Words of a block before those of the side.
    pub offset: u32,
}

/// Attention of the query tokens of some sequences over one cache slot.
#[derive(Clone, Copy, Debug)]
pub struct AttentionDecode<'a> {
    /// Types and sizes of the slot.
    pub layer: &'a KvLayer,
    /// Query heads, a multiple of the slot's K/V heads.
    pub n_heads: u32,
    /// The sequences, as the host knows them now: their largest numbers of chunks and tokens size the grid.
    pub known: &'a [Sequence],
    /// The same sequences, to be read by the kernels.
    pub sequences: Bind<'a>,
    /// Block tables.
    pub tables: Bind<'a>,
    /// Query heads after rope, not rotated: [token][head][head_dim_k] f32.
    pub query: Bind<'a>,
    /// The keys.
    pub k: Side<'a>,
    /// The values.
    pub v: Side<'a>,
    /// Factor on q . k before the softmax.
    pub scale: f32,
    /// A query sees the last so many positions only.
    pub window: Option<u32>,
    /// Scores become cap * tanh(score / cap).
    pub soft_cap: Option<f32>,
    /// A logit per query head that takes part in the softmax without a value.
    pub sinks: Option<Bind<'a>>,
    /// What the stored keys lack, if anything; the scratch has room for its parts of the scores then.
    pub key_bias: Option<KeyBiasTables<'a>>,
    /// Hand-over memory.
    pub scratch: &'a Scratch,
    /// A word per row (token, head), set to 1 where a query holds inf or nan; the host clears it. Coded K only.
    pub faults: Bind<'a>,
    /// Receives [token][head][head_dim_v] f32.
    pub out: Bind<'a>,
}

/// Which variants do it.
#[derive(Clone, Copy, Debug)]
pub struct Variants {
    /// Of attention_decode, or attention_decode_f16 when a side is f16.
    pub decode: &'static Variant,
    /// Of attention_combine, or attention_combine_f16 when V is f16.
    pub combine: &'static Variant,
    /// Of query_codes, when K is coded.
    pub codes: Option<&'static Variant>,
    /// Of attention_combine_codes, where there is one for heads like these.
    pub coded: Option<&'static Variant>,
    /// Of attention_short, where there is one for heads like these.
    pub short: Option<&'static Variant>,
    /// Chunks that a workgroup takes; any number gives the same bits.
    pub span_chunks: u32,
}

/// What other kernels do of an attention.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The scratch holds the codes of the queries already, or the query is as attention over f16 keys takes it.
    pub queries: bool,
    /// Where the results go as codes; `out` is not written then.
    pub codes: Option<CodesPart<'a>>,
}

impl CodesPart<'_> {
    /// Refuses results of `variant` that there is no room for, or that are no whole units.
    fn check(&self, gpu: &Gpu, variant: &Variant, params: &AttentionParams) -> Result<(), GpuError> {
        let (rows, d) = (u64::from(params.rows), params.head_dim_v);
        if !(d as usize).is_multiple_of(UNIT) || rows * u64::from(d) > self.room as u64 {
            return Err(gpu.call(variant.label, format!("{rows} heads of {d} values into codes of {}", self.room)));
        }
        Ok(())
    }
}

/// A dispatch of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// query_codes, where K is coded, and key_bias, where there is one.
    Codes,
    /// attention_decode or attention_decode_f16.
    Decode,
    /// attention_combine or attention_combine_f16.
    Combine,
}

/// Rows that a workgroup of `variant` takes: `rN` in its name, or by the type of K.
fn rows_of(variant: &Variant) -> u32 {
    let named = variant.name.split(',').find_map(|option| option.strip_prefix('r')?.parse().ok());
    named.unwrap_or(if variant.name.starts_with("k_f16") { 4 } else { 2 })
}

/// The variant of heads of 128 values that reads the cache fewest times for so many rows, with the fewest rows idle.
fn fewest_passes(rows: u32) -> &'static str {
    match rows {
        1 => "r1",
        _ if rows.div_ceil(5) < rows.div_ceil(4) => "r5",
        _ => "r4",
    }
}

impl Variants {
    /// Those that suit `gpu` for `rows` rows (query heads of a K/V head times tokens) on `layer`.
    ///
    /// # Errors
    /// A pair of types without a kernel that the device can run.
    pub fn choose(gpu: &Gpu, layer: &KvLayer, rows: u32) -> Result<Self, GpuError> {
        let (k, v) = (layer.k.kv_type, layer.v.kv_type);
        let pair = format!("k_{k},v_{v}");
        let decode = if k.is_coded() && v.is_coded() {
            let any = format!("{pair},{}", if rows == 1 { "r1" } else { "r4" });
            let large = format!("{pair},h128,{},subgroup", fewest_passes(rows));
            let fits = (layer.k.head_dim, layer.v.head_dim) == (128, 128);
            let all = [large.as_str(), &any];
            gpu.pick(&attention::attention_decode::KERNEL, if fits { &all } else { &all[1..] })?
        } else {
            let large = format!("{pair},h128,r5,subgroup");
            let fits = (k, v, layer.k.head_dim, layer.v.head_dim) == (KvType::F16, KvType::F16, 128, 128);
            let all = [large.as_str(), &pair];
            gpu.pick(&attention::attention_decode_f16::KERNEL, if fits { &all } else { &all[1..] })?
        };
        let combine = if v.is_coded() {
            let (large, any) = (format!("v_{v},h128,subgroup"), format!("v_{v},subgroup"));
            let (plain, fits) = (format!("v_{v}"), layer.v.head_dim == 128);
            let all = [large.as_str(), &any, &plain];
            gpu.pick(&attention::attention_combine::KERNEL, if fits { &all } else { &all[1..] })?
        } else {
            attention::attention_combine_f16::PLAIN
        };
        let codes = match k.is_coded() {
            true => Some(super::queries::pick(gpu, &attention::query_codes::KERNEL, k, layer.k.head_dim)?),
            false => None,
        };
        let (coded, short) = (Self::coded(gpu, layer), Self::short(gpu, layer, rows));
        Ok(Self { decode, combine, codes, coded, short, span_chunks: 1 })
    }
}

impl Variants {
    /// The variant of attention_combine_codes for V of `layer`, if there is one that `gpu` can run.
    fn coded(gpu: &Gpu, layer: &KvLayer) -> Option<&'static Variant> {
        use attention::attention_combine_codes::{V_F16, V_Q4_0, V_Q8_0, V_TURBO2, V_TURBO3, V_TURBO4};
        let d = layer.v.head_dim;
        let (variant, fits) = match layer.v.kv_type {
            KvType::F16 => (V_F16, d.is_multiple_of(UNIT) && d <= MAX_HEAD_DIM),
            KvType::Q8_0 => (V_Q8_0, d == 128),
            KvType::Q4_0 => (V_Q4_0, d == 128),
            KvType::Turbo2 => (V_TURBO2, d == 128),
            KvType::Turbo3 => (V_TURBO3, d == 128),
            KvType::Turbo4 => (V_TURBO4, d == 128),
        };
        (fits && gpu.capabilities().unmet(variant).is_none()).then_some(variant)
    }

    /// The variant of attention_short for `rows` rows on `layer`, if there is one that `gpu` can run.
    fn short(gpu: &Gpu, layer: &KvLayer, rows: u32) -> Option<&'static Variant> {
        let same = layer.k.kv_type == layer.v.kv_type && (layer.k.head_dim, layer.v.head_dim) == (128, 128);
        // A workgroup takes as long for one row as for five, so few rows are spread over the device.
        let few = layer.shape.n_kv_heads as u32 * rows <= FEW_SHORT_ROWS;
        let name = same.then(|| format!("{},{}", layer.k.kv_type, if few { "r1" } else { fewest_passes(rows) }))?;
        gpu.pick(&attention::attention_short::KERNEL, &[&name]).ok()
    }
}

/// log2(e) * cap * 2^16 and 2 / cap of a soft cap, limited as the specification says.
pub(super) fn cap_params(cap: Option<f32>) -> (u32, f32) {
    let Some(cap) = cap else { return (0, 0.0) };
    let c = f64::from(if cap.is_nan() { 8192.0 } else { cap.clamp(1.0 / 1024.0, 8192.0) });
    ((c * std::f64::consts::LOG2_E * 65536.0).round() as u32, (2.0 / c) as f32)
}

impl AttentionDecode<'_> {
    /// Records the dispatches.
    ///
    /// # Errors
    /// Sizes that do not fit, a device that cannot run the pair of types.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        let group = self.n_heads / (self.layer.shape.n_kv_heads as u32).max(1);
        let most = self.known.iter().map(|s| s.tokens).max().unwrap_or(0);
        self.record_with(recorder, &Variants::choose(recorder.gpu(), self.layer, group * most)?)
    }

    /// Like [`AttentionDecode::record`], with these variants.
    ///
    /// # Errors
    /// As [`AttentionDecode::record`].
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variants: &Variants) -> Result<(), GpuError> {
        self.record_part(recorder, variants, &Around::default())
    }

    /// Like [`AttentionDecode::record_with`], without what is done `around` it.
    ///
    /// # Errors
    /// As [`AttentionDecode::record`]; results as codes where the variants make none.
    pub fn record_part(
        &self,
        recorder: &mut Recorder<'_>,
        variants: &Variants,
        around: &Around<'_>,
    ) -> Result<(), GpuError> {
        if let Some(reason) = self.problem(variants) {
            return Err(recorder.gpu().call("attention/attention_decode", reason));
        }
        if !around.queries {
            self.record_stage(recorder, variants, Stage::Codes)?;
        }
        if let (Some(to), Some(variant), true) = (&around.codes, variants.short, self.is_short()) {
            return self.record_short(recorder, variant, variants, to);
        }
        self.record_stage(recorder, variants, Stage::Decode)?;
        match &around.codes {
            None => self.record_stage(recorder, variants, Stage::Combine),
            Some(to) => self.record_coded(recorder, variants, to),
        }
    }

    /// One of the dispatches alone, for benches; [`AttentionDecode::record_with`] checks that sizes fit, this does not.
    ///
    /// # Errors
    /// What the recorder refuses.
    pub fn record_stage(&self, recorder: &mut Recorder<'_>, variants: &Variants, stage: Stage) -> Result<(), GpuError> {
        let params = self.params(variants);
        if params.rows == 0 {
            return Ok(());
        }
        match stage {
            Stage::Codes => {
                self.record_key_bias(recorder)?;
                variants.codes.map_or(Ok(()), |variant| self.record_codes(recorder, variant))
            }
            Stage::Decode => self.record_decode(recorder, variants, &params),
            Stage::Combine => self.record_combine(recorder, variants, &params),
        }
    }

    fn record_decode(
        &self,
        recorder: &mut Recorder<'_>,
        variants: &Variants,
        params: &AttentionParams,
    ) -> Result<(), GpuError> {
        let scratch = self.scratch;
        let queries = if variants.codes.is_some() { scratch.codes.bind() } else { self.query };
        let (sequences, tables, mults) = (self.sequences, self.tables, scratch.mults.bind());
        let (k_pool, v_pool, partials) = (self.k.pool.bind, self.v.pool.bind, scratch.partials.bind());
        let key_bias = scratch.key_bias.as_ref().filter(|_| self.key_bias.is_some()).map_or(mults, Buffer::bind);
        let grid = Grid::linear(params.sequences * params.kv_heads * params.row_groups * params.spans);
        if attention::attention_decode::KERNEL.has(variants.decode) {
            use attention::attention_decode::Bindings;
            let bindings = Bindings { sequences, tables, queries, mults, k_pool, v_pool, partials, key_bias };
            recorder.dispatch(variants.decode, bindings, params, grid)
        } else {
            use attention::attention_decode_f16::Bindings;
            let bindings = Bindings { sequences, tables, queries, mults, k_pool, v_pool, partials, key_bias };
            recorder.dispatch(variants.decode, bindings, params, grid)
        }
    }

    fn record_combine(
        &self,
        recorder: &mut Recorder<'_>,
        variants: &Variants,
        params: &AttentionParams,
    ) -> Result<(), GpuError> {
        let (sequences, partials, y) = (self.sequences, self.scratch.partials.bind(), self.out);
        let (sinks, rows) = (self.sinks.unwrap_or(self.scratch.mults.bind()), Grid::linear(params.rows));
        if self.layer.v.kv_type.is_coded() {
            let bindings = attention::attention_combine::Bindings { sequences, partials, sinks, y };
            recorder.dispatch(variants.combine, bindings, params, rows)
        } else {
            let bindings = attention::attention_combine_f16::Bindings { sequences, partials, sinks, y };
            recorder.dispatch(variants.combine, bindings, params, rows)
        }
    }

    /// Whether attention_short can do it: no sequence sees keys of two chunks.
    fn is_short(&self) -> bool {
        self.key_bias.is_none() && self.known.iter().all(|sequence| sequence.chunks(self.window) <= 1)
    }

    /// Decode and last stage in one, with results as codes.
    fn record_short(
        &self,
        recorder: &mut Recorder<'_>,
        variant: &'static Variant,
        variants: &Variants,
        to: &CodesPart<'_>,
    ) -> Result<(), GpuError> {
        let all = AttentionParams { fine_plane: to.fine_plane, ..self.params(variants) };
        let rows = self.known.iter().map(|s| s.tokens).max().unwrap_or(0) * all.group;
        let params = AttentionParams { row_groups: rows.div_ceil(rows_of(variant)), spans: 1, span_chunks: 1, ..all };
        if params.rows == 0 {
            return Ok(());
        }
        to.check(recorder.gpu(), variant, &params)?;
        let queries = if variants.codes.is_some() { self.scratch.codes.bind() } else { self.query };
        let (sequences, tables, mults) = (self.sequences, self.tables, self.scratch.mults.bind());
        let (k_pool, v_pool, sinks) = (self.k.pool.bind, self.v.pool.bind, self.sinks.unwrap_or(mults));
        let (codes, heads) = (to.codes, to.heads);
        let bindings = attention::attention_short::Bindings {
            sequences,
            tables,
            queries,
            mults,
            k_pool,
            v_pool,
            sinks,
            codes,
            heads,
        };
        let grid = Grid::linear(params.sequences * params.kv_heads * params.row_groups);
        recorder.dispatch(variant, bindings, &params, grid)
    }

    /// The last stage, with results as codes.
    fn record_coded(
        &self,
        recorder: &mut Recorder<'_>,
        variants: &Variants,
        to: &CodesPart<'_>,
    ) -> Result<(), GpuError> {
        use attention::attention_combine_codes::Bindings;
        let params = AttentionParams { fine_plane: to.fine_plane, ..self.params(variants) };
        if params.rows == 0 {
            return Ok(());
        }
        let Some(variant) = variants.coded else {
            let d = params.head_dim_v;
            return Err(recorder
                .gpu()
                .call("attention/attention_combine_codes", format!("heads of {d} values have none on this device")));
        };
        to.check(recorder.gpu(), variant, &params)?;
        let (sequences, partials) = (self.sequences, self.scratch.partials.bind());
        let (sinks, codes, heads) = (self.sinks.unwrap_or(self.scratch.mults.bind()), to.codes, to.heads);
        let bindings = Bindings { sequences, partials, sinks, codes, heads };
        recorder.dispatch(variant, bindings, &params, Grid::linear(params.rows))
    }

    /// Records the kernel that makes the key bias's parts of the scores, if there is one, and says where they are.
    pub(super) fn record_key_bias(&self, recorder: &mut Recorder<'_>) -> Result<Option<Bind<'_>>, GpuError> {
        let (Some(tables), Some(parts)) = (self.key_bias, &self.scratch.key_bias) else { return Ok(None) };
        let call = KeyBias {
            tables,
            n_heads: self.n_heads,
            known: self.known,
            sequences: self.sequences,
            query: self.query,
            scale: self.scale,
            window: self.window,
            rows: 0..self.tokens() * self.n_heads,
            slots: self.scratch.slots,
            out: parts.bind(),
        };
        call.record(recorder)?;
        Ok(Some(parts.bind()))
    }

    /// Query tokens of all sequences.
    pub(super) fn tokens(&self) -> u32 {
        self.known.iter().map(|s| s.first + s.tokens).max().unwrap_or(0)
    }

    fn params(&self, variants: &Variants) -> AttentionParams {
        let layer = self.layer;
        let kv_heads = layer.shape.n_kv_heads as u32;
        let group = self.n_heads / kv_heads;
        let chunks = self.known.iter().map(|s| s.chunks(self.window)).max().unwrap_or(0);
        let most = self.known.iter().map(|s| s.tokens).max().unwrap_or(0);
        let (cap_limit, cap_factor) = cap_params(self.soft_cap);
        AttentionParams {
            sequences: self.known.len() as u32,
            kv_heads,
            group,
            head_dim_k: layer.k.head_dim as u32,
            head_dim_v: layer.v.head_dim as u32,
            k_words: layer.k.code_words as u32,
            v_words: layer.v.code_words as u32,
            k_unit: layer.k.unit_words() as u32,
            v_unit: layer.v.unit_words() as u32,
            k_block: self.k.pool.block_words,
            v_block: self.v.pool.block_words,
            k_first: self.k.offset,
            v_first: self.v.offset,
            window: self.window.unwrap_or(0),
            cap_limit,
            cap_factor,
            score_factor: (f64::from(self.scale) * std::f64::consts::LOG2_E) as f32,
            row_groups: (most * group).div_ceil(rows_of(variants.decode)),
            spans: chunks.div_ceil(variants.span_chunks.max(1)),
            span_chunks: variants.span_chunks.max(1),
            slots: self.scratch.slots,
            k_blocks: layer.k.scale_blocks as u32,
            v_blocks: layer.v.scale_blocks.max(1) as u32,
            rows: self.tokens() * self.n_heads,
            sinks: self.sinks.is_some().into(),
            key_bias: if self.key_bias.is_some() { self.scratch.slots * CHUNK_TOKENS as u32 } else { 0 },
            ..AttentionParams::default()
        }
    }

    /// Why this cannot be done, if so.
    fn problem(&self, variants: &Variants) -> Option<String> {
        let layer = self.layer;
        let (kv_heads, d) = (layer.shape.n_kv_heads, layer.k.head_dim.max(layer.v.head_dim));
        if kv_heads == 0 || self.n_heads == 0 || !(self.n_heads as usize).is_multiple_of(kv_heads) {
            return Some(format!("{} query heads are no multiple of {kv_heads} K/V heads", self.n_heads));
        }
        if d > MAX_HEAD_DIM || !layer.k.head_dim.is_multiple_of(8) || !layer.v.head_dim.is_multiple_of(16) {
            let (k, v) = (layer.k.head_dim, layer.v.head_dim);
            return Some(format!(
                "heads of {k} (K) and {v} (V) values: multiples of 16 up to {MAX_HEAD_DIM} can be done"
            ));
        }
        if variants.decode.name.contains("h128") {
            let words = [self.k.pool.block_words, self.k.offset, self.v.pool.block_words, self.v.offset];
            if (layer.k.head_dim, layer.v.head_dim) != (128, 128) || words.iter().any(|w| w % 4 != 0) {
                let label = variants.decode.label;
                return Some(format!("{label} is for heads of 128 values in blocks of whole vectors, found {layer:?}"));
            }
        }
        if variants.combine.name.contains("h128") && layer.v.head_dim != 128 {
            let (label, d) = (variants.combine.label, layer.v.head_dim);
            return Some(format!("{label} is for heads of 128 values, found {d}"));
        }
        let rows = u64::from(self.tokens()) * u64::from(self.n_heads);
        let chunks = self.known.iter().map(|s| s.chunks(self.window)).max().unwrap_or(0);
        let spans = chunks.div_ceil(variants.span_chunks.max(1));
        let group = u64::from(self.n_heads);
        let most = u64::from(self.known.iter().map(|s| s.tokens).max().unwrap_or(0));
        if self.known.len() as u64 * u64::from(spans) * group * most > u64::from(u32::MAX) / 2 {
            return Some(format!(
                "{} sequences of up to {chunks} chunks are too many for one dispatch",
                self.known.len()
            ));
        }
        if chunks > self.scratch.slots {
            return Some(format!("sequences see {chunks} chunks, scratch has room for {}", self.scratch.slots));
        }
        for (name, bytes, needed) in [
            ("query", self.query.bytes, 4 * rows * layer.k.head_dim as u64),
            ("out", self.out.bytes, 4 * rows * layer.v.head_dim as u64),
            ("faults", self.faults.bytes, 4 * rows),
            ("sinks", self.sinks.map_or(u64::MAX, |s| s.bytes), 4 * u64::from(self.n_heads)),
            ("sequences", self.sequences.bytes, 16 * self.known.len() as u64),
            ("scratch", self.scratch.mults.bytes(), 4 * rows * layer.k.scale_blocks as u64),
            ("scratch", self.scratch.codes.bytes(), 4 * rows * query_words(layer) as u64),
            ("scratch", self.scratch.partials.bytes(), 4 * rows * u64::from(self.scratch.slots) * partial_words(layer)),
        ] {
            if bytes < needed {
                return Some(format!("{name} has {bytes} bytes, {needed} are needed"));
            }
        }
        if let Some(KeyBiasTables { slot, .. }) = self.key_bias {
            if self.scratch.key_bias.is_none() {
                return Some("scratch has no room for the parts of a key bias".to_owned());
            }
            if slot.shape() != (kv_heads, layer.k.head_dim) {
                let ((found, d), expected) = (slot.shape(), layer.k.head_dim);
                return Some(format!(
                    "the key bias is of {found} heads of {d} values, the cache slot of {kv_heads} heads of {expected}"
                ));
            }
        }
        let sides = [("K", &self.k, &layer.k), ("V", &self.v, &layer.v)];
        sides.into_iter().find_map(|(name, side, layout)| {
            if side.pool.first_block != 0 {
                return Some(format!("the {name} pool lies in several bindings"));
            }
            side.pool.problem(layout, side.offset)
        })
    }
}
