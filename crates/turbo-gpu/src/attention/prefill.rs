//! Attention of many query tokens: `wgsl/kernels/attention/attention_prefill{,_f16}.wgsl`.

use turbo_backend::KvLayer;
use turbo_wgsl::params::AttentionParams;
use turbo_wgsl::{Variant, attention};

#[cfg(doc)]
use super::decode::Scratch;
use super::decode::{AttentionDecode, MAX_HEAD_DIM, cap_params};
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};

const CALL: &str = "attention/attention_prefill";

/// Values of V that a workgroup takes.
const SLICE: usize = 128;

/// Workgroups side by side along the values of V.
pub(super) fn slices(layer: &KvLayer) -> u32 {
    layer.v.head_dim.div_ceil(SLICE) as u32
}

/// Which variants do it.
#[derive(Clone, Copy, Debug)]
pub struct Variants {
    /// Of attention_prefill, or attention_prefill_f16 when a side is f16.
    pub prefill: &'static Variant,
    /// Of query_codes, when K is coded.
    pub codes: Option<&'static Variant>,
}

impl Variants {
    /// The fastest that suit `gpu` and `layer`; none if there is no kernel for the pair of types or the device lacks
    /// what it needs.
    ///
    /// # Errors
    /// The device cannot make query codes.
    pub fn find(gpu: &Gpu, layer: &KvLayer) -> Result<Option<Self>, GpuError> {
        let (k, v) = (layer.k.kv_type, layer.v.kv_type);
        let coded = k.is_coded() && v.is_coded();
        let kernel =
            if coded { &attention::attention_prefill::KERNEL } else { &attention::attention_prefill_f16::KERNEL };
        let (pair, whole) = (format!("k_{k},v_{v}"), is_whole(layer));
        let own =
            |x: &&Variant| x.name.strip_prefix(&pair).is_some_and(|rest| rest.is_empty() || rest.starts_with(','));
        let fitting = kernel.variants.iter().filter(own).filter(|x| whole || !needs_whole(x));
        let mut able = fitting.filter(|x| gpu.capabilities().unmet(x).is_none());
        // The last option is the fastest.
        let Some(prefill) = able.next_back() else { return Ok(None) };
        let codes = match k.is_coded() {
            true => Some(super::queries::pick(gpu, &attention::query_codes::KERNEL, k, layer.k.head_dim)?),
            false => None,
        };
        Ok(Some(Self { prefill, codes }))
    }

    /// Rows of a workgroup: `rN` in the name, or 16.
    pub fn rows(&self) -> u32 {
        self.prefill.name.split(',').find_map(|option| option.strip_prefix('r')?.parse().ok()).unwrap_or(16)
    }
}

/// Whether a variant is for heads of multiples of 128 values.
fn needs_whole(variant: &Variant) -> bool {
    variant.name.split(',').any(|option| option == "whole")
}

fn is_whole(layer: &KvLayer) -> bool {
    layer.k.head_dim.is_multiple_of(SLICE) && layer.v.head_dim.is_multiple_of(SLICE)
}

/// What `attention/key_bias` has made: i32 parts of the scores, [row][key].
#[derive(Clone, Copy, Debug)]
pub struct KeyBiasParts<'a> {
    /// The parts.
    pub parts: Bind<'a>,
    /// Parts of a row: the keys of the chunks that its sequence sees, from the first one on.
    pub stride: u32,
}

/// Attention of many query tokens.
#[derive(Clone, Copy, Debug)]
pub struct AttentionPrefill<'a> {
    /// What is to be done. Its scratch needs no room for partials ([`Scratch::without_partials`]).
    pub job: AttentionDecode<'a>,
    /// Parts of the scores that were made before; without it those of the job's key bias are made now.
    pub key_bias: Option<KeyBiasParts<'a>>,
}

impl AttentionPrefill<'_> {
    /// Records the dispatches.
    ///
    /// # Errors
    /// Sizes that do not fit, a device that cannot run the pair of types.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        let (layer, gpu) = (self.job.layer, recorder.gpu());
        let variants = Variants::find(gpu, layer)?.ok_or_else(|| {
            let (k, v) = (layer.k.kv_type, layer.v.kv_type);
            let unmet = format!("no variant for K of {k} and V of {v} runs here; attention_decode does the same");
            GpuError::Unsupported { device: gpu.name().to_owned(), kernel: CALL.to_owned(), unmet }
        })?;
        self.record_with(recorder, &variants)
    }

    /// Like [`AttentionPrefill::record`], with these variants.
    ///
    /// # Errors
    /// As [`AttentionPrefill::record`].
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variants: &Variants) -> Result<(), GpuError> {
        self.record_part(recorder, variants, false)
    }

    /// Like [`AttentionPrefill::record_with`]; with `queries_ready` what makes their codes has been recorded before.
    ///
    /// # Errors
    /// As [`AttentionPrefill::record`].
    pub fn record_part(
        &self,
        recorder: &mut Recorder<'_>,
        variants: &Variants,
        queries_ready: bool,
    ) -> Result<(), GpuError> {
        if let Some(reason) = self.problem(variants) {
            return Err(recorder.gpu().call(CALL, reason));
        }
        let job = &self.job;
        if job.tokens() == 0 {
            return Ok(());
        }
        let made = job.record_key_bias(recorder)?.map(|parts| KeyBiasParts { parts, stride: job.scratch.keys() });
        let key_bias = self.key_bias.or(made);
        let params = self.params(variants, key_bias);
        let (codes, mults) = (job.scratch.codes.bind(), job.scratch.mults.bind());
        let mut queries = job.query;
        if let Some(variant) = variants.codes {
            if !queries_ready {
                job.record_codes(recorder, variant)?;
            }
            queries = codes;
        }
        let grid = Grid::linear(params.row_groups * params.sequences * params.kv_heads * slices(job.layer));
        let (sequences, tables, y) = (job.sequences, job.tables, job.out);
        let (k_pool, v_pool) = (job.k.pool.bind, job.v.pool.bind);
        let (sinks, key_bias) = (job.sinks.unwrap_or(mults), key_bias.map_or(mults, |bias| bias.parts));
        if attention::attention_prefill::KERNEL.has(variants.prefill) {
            use attention::attention_prefill::Bindings;
            let bindings = Bindings { sequences, tables, queries, mults, k_pool, v_pool, sinks, key_bias, y };
            recorder.dispatch(variants.prefill, bindings, &params, grid)
        } else {
            use attention::attention_prefill_f16::Bindings;
            let bindings = Bindings { sequences, tables, queries, mults, k_pool, v_pool, sinks, key_bias, y };
            recorder.dispatch(variants.prefill, bindings, &params, grid)
        }
    }

    /// Query tokens of the longest sequence times query heads of a K/V head.
    fn most_rows(&self) -> u64 {
        let group = u64::from(self.job.n_heads) / (self.job.layer.shape.n_kv_heads as u64).max(1);
        self.job.known.iter().map(|s| u64::from(s.tokens)).max().unwrap_or(0) * group
    }

    fn params(&self, variants: &Variants, key_bias: Option<KeyBiasParts<'_>>) -> AttentionParams {
        let job = &self.job;
        let layer = job.layer;
        let kv_heads = (layer.shape.n_kv_heads as u32).max(1);
        let (cap_limit, cap_factor) = cap_params(job.soft_cap);
        AttentionParams {
            sequences: job.known.len() as u32,
            kv_heads,
            group: job.n_heads / kv_heads,
            head_dim_k: layer.k.head_dim as u32,
            head_dim_v: layer.v.head_dim as u32,
            k_words: layer.k.code_words as u32,
            v_words: layer.v.code_words as u32,
            k_unit: layer.k.unit_words() as u32,
            v_unit: layer.v.unit_words() as u32,
            k_block: job.k.pool.block_words,
            v_block: job.v.pool.block_words,
            k_first: job.k.offset,
            v_first: job.v.offset,
            window: job.window.unwrap_or(0),
            cap_limit,
            cap_factor,
            score_factor: (f64::from(job.scale) * std::f64::consts::LOG2_E) as f32,
            row_groups: (self.most_rows() as u32).div_ceil(variants.rows()),
            k_blocks: layer.k.scale_blocks as u32,
            v_blocks: layer.v.scale_blocks.max(1) as u32,
            rows: job.tokens() * job.n_heads,
            sinks: job.sinks.is_some().into(),
            key_bias: key_bias.map_or(0, |bias| bias.stride),
            ..AttentionParams::default()
        }
    }

    /// Why this cannot be done, if so.
    fn problem(&self, variants: &Variants) -> Option<String> {
        let job = &self.job;
        let layer = job.layer;
        let (kv_heads, (k, v)) = (layer.shape.n_kv_heads, (layer.k.head_dim, layer.v.head_dim));
        if kv_heads == 0 || job.n_heads == 0 || !(job.n_heads as usize).is_multiple_of(kv_heads) {
            return Some(format!("{} query heads are no multiple of {kv_heads} K/V heads", job.n_heads));
        }
        if k.max(v) > MAX_HEAD_DIM || !k.is_multiple_of(16) || !v.is_multiple_of(16) {
            return Some(format!(
                "heads of {k} (K) and {v} (V) values: multiples of 16 up to {MAX_HEAD_DIM} can be done"
            ));
        }
        if needs_whole(variants.prefill) && !is_whole(layer) {
            let label = variants.prefill.label;
            return Some(format!("{label} is for heads of multiples of {SLICE} values, found {k} (K) and {v} (V)"));
        }
        let groups = self.most_rows().div_ceil(variants.rows().into()) * kv_heads as u64 * u64::from(slices(layer));
        if groups * job.known.len() as u64 > u64::from(u32::MAX) / 2 || self.most_rows() > u64::from(u32::MAX) / 2 {
            let (n, tokens) = (job.known.len(), job.known.iter().map(|s| s.tokens).max().unwrap_or(0));
            return Some(format!("{n} sequences of up to {tokens} query tokens are too many for one dispatch"));
        }
        self.short_buffer().or_else(|| {
            let sides = [("K", &job.k, &layer.k), ("V", &job.v, &layer.v)];
            sides.into_iter().find_map(|(name, side, layout)| {
                if side.pool.first_block != 0 {
                    return Some(format!("the {name} pool lies in several bindings"));
                }
                side.pool.problem(layout, side.offset)
            })
        })
    }

    /// The buffer that is too short, if one is.
    fn short_buffer(&self) -> Option<String> {
        let job = &self.job;
        let layer = job.layer;
        let rows = u64::from(job.tokens()) * u64::from(job.n_heads);
        let chunks = job.known.iter().map(|s| s.chunks(job.window)).max().unwrap_or(0);
        if let Some(bias) = self.key_bias
            && bias.stride < chunks * turbo_backend::CHUNK_TOKENS as u32
        {
            return Some(format!("sequences see {chunks} chunks, a row of key_bias has {} keys", bias.stride));
        }
        let bias_bytes = self.key_bias.map_or(0, |bias| 4 * rows * u64::from(bias.stride));
        let buffers = [
            ("query", job.query.bytes, 4 * rows * layer.k.head_dim as u64),
            ("out", job.out.bytes, 4 * rows * layer.v.head_dim as u64),
            ("faults", job.faults.bytes, 4 * rows),
            ("sinks", job.sinks.map_or(u64::MAX, |s| s.bytes), 4 * u64::from(job.n_heads)),
            ("key_bias", self.key_bias.map_or(0, |bias| bias.parts.bytes), bias_bytes),
            ("sequences", job.sequences.bytes, 16 * job.known.len() as u64),
            ("scratch", job.scratch.mults.bytes(), 4 * rows * layer.k.scale_blocks as u64),
        ];
        let short = buffers.into_iter().find(|(_, bytes, needed)| bytes < needed);
        short.map(|(name, bytes, needed)| format!("{name} has {bytes} bytes, {needed} are needed"))
    }
}
