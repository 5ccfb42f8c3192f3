//! Queries for coded keys: `wgsl/kernels/attention/{query_codes,query_codes_roped}.wgsl`.

use turbo_backend::KvLayer;
use turbo_backend::plan::RopeStyle;
use turbo_quant::KvType;
use turbo_wgsl::attention::{query_codes, query_codes_roped};
use turbo_wgsl::params::QueryCodesParams;
use turbo_wgsl::{Kernel, Variant};

use super::decode::{AttentionDecode, MAX_HEAD_DIM, Scratch};
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};
use crate::turn::Turn;

/// Words of the codes of one query head.
pub(super) fn query_words(layer: &KvLayer) -> usize {
    let planes = if layer.k.kv_type == KvType::Q8_0 { 2 } else { 1 };
    planes * layer.k.head_dim.div_ceil(4)
}

/// f32 nearest scale * log2(e).
pub(super) fn score_factor(scale: f32) -> f32 {
    (f64::from(scale) * std::f64::consts::LOG2_E) as f32
}

impl AttentionDecode<'_> {
    /// Records the codes of the job's queries.
    pub(super) fn record_codes(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        let params = QueryCodesParams {
            rows: self.tokens() * self.n_heads,
            head_dim: self.layer.k.head_dim as u32,
            k_blocks: self.layer.k.scale_blocks as u32,
            score_factor: score_factor(self.scale),
            ..QueryCodesParams::default()
        };
        let (codes, mults) = (self.scratch.codes.bind(), self.scratch.mults.bind());
        let bindings = query_codes::Bindings { query: self.query, codes, mults, faults: self.faults };
        recorder.dispatch(variant, bindings, &params, Grid::linear(params.rows))
    }
}

/// Queries straight from their product, normed, turned and made codes for the keys of a cache slot.
#[derive(Clone, Copy, Debug)]
pub struct RopedQueries<'a> {
    /// The slot, with coded keys.
    pub layer: &'a KvLayer,
    /// Query heads of a token.
    pub n_heads: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// [token][head][head_dim_k] f32.
    pub query: Bind<'a>,
    /// What is done to the heads.
    pub turn: Turn<'a>,
    /// Factor on q . k before the softmax.
    pub scale: f32,
    /// Receives the codes.
    pub scratch: &'a Scratch,
    /// As in [`AttentionDecode`].
    pub faults: Bind<'a>,
}

/// The variant of query_codes_roped for keys of `k_type`; none if four values at a time cannot be turned.
///
/// # Errors
/// None: there is one for every device.
pub fn roped_variant(
    gpu: &Gpu,
    k_type: KvType,
    (head_dim, pairs, style): (usize, usize, RopeStyle),
) -> Result<Option<&'static Variant>, GpuError> {
    if !k_type.is_coded() || !Turn::fits(head_dim, pairs, style) {
        return Ok(None);
    }
    pick(gpu, &query_codes_roped::KERNEL, k_type, head_dim).map(Some)
}

/// The variant of `kernel` for keys of `k_type` in heads of `head_dim` values that suits `gpu`.
pub(super) fn pick(
    gpu: &Gpu,
    kernel: &'static Kernel,
    k_type: KvType,
    head_dim: usize,
) -> Result<&'static Variant, GpuError> {
    let names = [format!("k_{k_type},h128,subgroup"), format!("k_{k_type},subgroup"), format!("k_{k_type}")];
    let names = names.each_ref().map(String::as_str);
    gpu.pick(kernel, if head_dim == 128 { &names } else { &names[1..] })
}

impl RopedQueries<'_> {
    /// Records the dispatch with `variant`.
    ///
    /// # Errors
    /// Sizes that do not fit; a failing device.
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        use query_codes_roped::Bindings;
        if let Some(reason) = self.problem() {
            return Err(recorder.gpu().call("attention/query_codes_roped", reason));
        }
        let (neox, normed, eps) = self.turn.params();
        let params = QueryCodesParams {
            rows: self.tokens * self.n_heads,
            head_dim: self.layer.k.head_dim as u32,
            k_blocks: self.layer.k.scale_blocks as u32,
            score_factor: score_factor(self.scale),
            heads: self.n_heads,
            pairs: self.turn.pairs,
            turned: 2 * self.turn.pairs,
            neox,
            normed,
            eps,
            first_token: self.turn.first_token,
            ..QueryCodesParams::default()
        };
        if params.rows == 0 {
            return Ok(());
        }
        let (query, factors, weight) = (self.query, self.turn.factors, self.turn.weight(self.query));
        let (codes, mults, faults) = (self.scratch.codes.bind(), self.scratch.mults.bind(), self.faults);
        let bindings = Bindings { query, factors, weight, codes, mults, faults };
        recorder.dispatch(variant, bindings, &params, Grid::linear(params.rows))
    }

    /// Why this cannot be done, if so.
    fn problem(&self) -> Option<String> {
        let d = self.layer.k.head_dim;
        if !self.layer.k.kv_type.is_coded() || d > MAX_HEAD_DIM {
            return Some(format!("keys of {} with heads of {d} values take no codes", self.layer.k.kv_type));
        }
        let rows = u64::from(self.tokens) * u64::from(self.n_heads);
        let buffers = [
            ("query", self.query.bytes, 4 * rows * d as u64),
            ("faults", self.faults.bytes, 4 * rows),
            ("scratch", self.scratch.mults.bytes(), 4 * rows * self.layer.k.scale_blocks as u64),
            ("scratch", self.scratch.codes.bytes(), 4 * rows * query_words(self.layer) as u64),
        ];
        let short = buffers.into_iter().find(|(_, bytes, needed)| bytes < needed);
        short
            .map(|(name, bytes, needed)| format!("{name} has {bytes} bytes, {needed} are needed"))
            .or_else(|| self.turn.problem(d, self.tokens))
    }
}

/// Query heads as `attention/query_codes` makes them, alone: for tests.
#[derive(Clone, Copy, Debug)]
pub struct QueryCodes {
    /// Type of the keys, coded.
    pub k_type: KvType,
    /// Values of a head, a multiple of 16.
    pub head_dim: u32,
    /// Number of heads.
    pub rows: u32,
    /// Factor on q . k before the softmax.
    pub scale: f32,
}

impl QueryCodes {
    /// Per row: the words of codes, the factors of the scale blocks (f32 bits), 1 if it holds inf or nan.
    ///
    /// # Errors
    /// Sizes that do not fit; a failing device.
    pub fn run(&self, gpu: &Gpu, variant: &'static Variant, query: &[f32]) -> Result<Vec<u32>, GpuError> {
        let (d, rows) = (self.head_dim as usize, self.rows as usize);
        if d % 16 != 0 || d > MAX_HEAD_DIM || query.len() < rows * d || rows == 0 {
            return Err(gpu.call("attention/query_codes", format!("{self:?} does not fit {} values", query.len())));
        }
        let words = d / 4 * if self.k_type == KvType::Q8_0 { 2 } else { 1 };
        let blocks = self.k_type.scale_blocks(d);
        let query = gpu.upload("query", query)?;
        let codes = gpu.buffer::<u32>("codes", rows * words)?;
        let mults = gpu.buffer::<u32>("mults", rows * blocks)?;
        let faults = gpu.buffer::<u32>("faults", rows)?;
        let params = QueryCodesParams {
            head_dim: self.head_dim,
            k_blocks: blocks as u32,
            rows: self.rows,
            score_factor: score_factor(self.scale),
            ..QueryCodesParams::default()
        };
        let mut recorder = gpu.recorder("query_codes");
        let bindings = query_codes::Bindings {
            query: query.bind(),
            codes: codes.bind(),
            mults: mults.bind(),
            faults: faults.bind(),
        };
        recorder.dispatch(variant, bindings, &params, Grid::linear(self.rows))?;
        recorder.submit()?;
        let (codes, mults) = (gpu.download(&codes, 0..rows * words)?, gpu.download(&mults, 0..rows * blocks)?);
        let faults = gpu.download(&faults, 0..rows)?;
        let row = |i: usize| [&codes[i * words..][..words], &mults[i * blocks..][..blocks], &faults[i..=i]].concat();
        Ok((0..rows).flat_map(row).collect())
    }
}
