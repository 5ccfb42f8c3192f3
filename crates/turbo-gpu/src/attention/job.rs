//! Attention of any number of query tokens: which kernels do it.

use turbo_backend::KvLayer;

use super::decode::{self, Around, AttentionDecode, Scratch, Sequence};
use super::prefill::{self, AttentionPrefill};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::Recorder;

/// Fewest rows of a sequence and K/V head that attention_prefill is worth it for.
const FEW_ROWS: u32 = 8;

/// Workgroups that keep a large device busy.
const MANY_WORKGROUPS: u32 = 128;

/// How an attention is done.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Chunk by chunk, with partials that are folded afterwards: few rows.
    Decode(decode::Variants),
    /// Rows side by side, each workgroup walking over all keys: many rows. Needs no partials.
    Prefill(prefill::Variants),
}

impl Way {
    /// The better one for `sequences` on `layer` with `n_heads` query heads. Both give the same bits where K and V are
    /// coded.
    ///
    /// # Errors
    /// A pair of types that the device can run no kernel for.
    pub fn choose(
        gpu: &Gpu,
        layer: &KvLayer,
        n_heads: u32,
        sequences: &[Sequence],
        window: Option<u32>,
    ) -> Result<Self, GpuError> {
        let kv_heads = (layer.shape.n_kv_heads as u32).max(1);
        let group = n_heads / kv_heads;
        let most = sequences.iter().map(|s| s.tokens).max().unwrap_or(0).saturating_mul(group);
        if most >= FEW_ROWS
            && let Some(variants) = prefill::Variants::find(gpu, layer)?
        {
            let tiles: u32 = sequences.iter().map(|s| (s.tokens * group).div_ceil(variants.rows())).sum();
            let workgroups = tiles.saturating_mul(kv_heads * prefill::slices(layer));
            let chunks = sequences.iter().map(|s| s.chunks(window)).max().unwrap_or(0);
            if workgroups >= MANY_WORKGROUPS.min(chunks) {
                return Ok(Self::Prefill(variants));
            }
        }
        decode::Variants::choose(gpu, layer, most).map(Self::Decode)
    }

    /// Hand-over memory for `rows` query heads whose sequences see up to `chunks` chunks.
    ///
    /// # Errors
    /// Too little memory.
    pub fn scratch(&self, gpu: &Gpu, layer: &KvLayer, rows: usize, chunks: u32) -> Result<Scratch, GpuError> {
        match self {
            Self::Decode(_) => Scratch::new(gpu, layer, rows, chunks),
            Self::Prefill(_) => Scratch::without_partials(gpu, layer, rows, chunks),
        }
    }

    /// Records the dispatches of `job`, whose scratch was made for this way, without what is done `around` it.
    ///
    /// # Errors
    /// Sizes that do not fit, a device that cannot run the pair of types.
    pub fn record(
        &self,
        recorder: &mut Recorder<'_>,
        job: AttentionDecode<'_>,
        around: &Around<'_>,
    ) -> Result<(), GpuError> {
        match self {
            Self::Decode(variants) => job.record_part(recorder, variants, around),
            Self::Prefill(_) if around.codes.is_some() => {
                Err(recorder.gpu().call("attention/attention_prefill", "it makes no codes"))
            }
            Self::Prefill(variants) => {
                AttentionPrefill { job, key_bias: None }.record_part(recorder, variants, around.queries)
            }
        }
    }

    /// Whether its results can be codes for a product.
    pub fn makes_codes(&self) -> bool {
        matches!(self, Self::Decode(variants) if variants.coded.is_some())
    }
}
