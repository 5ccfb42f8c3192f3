//! Storing heads whose keys come straight from their product: `wgsl/kernels/kv/kv_encode_roped.wgsl`.

use turbo_backend::KvSide;
use turbo_backend::plan::RopeStyle;
use turbo_quant::KvType;
use turbo_wgsl::Variant;
use turbo_wgsl::kv::kv_encode_roped::{Bindings, KERNEL};
use turbo_wgsl::params::KvEncodeRopedParams;

use super::HeadSizes;
use super::kv_encode::{KvEncode, NewHeads};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::Recorder;
use crate::turn::Turn;

const CALL: &str = "kv/kv_encode_roped";

/// Values in the vectors that the kernel loads, of f16 too.
const WIDTH: u32 = 4;

/// Storing K, after norm and rotation, and V, if it is of K's type and named.
#[derive(Clone, Copy, Debug)]
pub struct KvEncodeRoped<'a> {
    /// What is stored where; the keys are as their product left them. Rows start and go on by vectors of four values.
    pub encode: KvEncode<'a>,
    /// What is done to the keys.
    pub turn: Turn<'a>,
}

/// The variant that suits `gpu` for storing heads of such sizes as `kv_type`; none if four values at a time cannot be
/// turned.
///
/// # Errors
/// None: there is one for every device.
pub fn variant(
    gpu: &Gpu,
    kv_type: KvType,
    sizes: HeadSizes,
    (head_dim, pairs, style): (usize, usize, RopeStyle),
) -> Result<Option<&'static Variant>, GpuError> {
    if !Turn::fits(head_dim, pairs, style) {
        return Ok(None);
    }
    super::pick_named(gpu, &KERNEL, kv_type.name(), sizes).map(Some)
}

impl<'a> KvEncodeRoped<'a> {
    /// Records the dispatch with `variant`.
    ///
    /// # Errors
    /// Buffers too small for what they are said to hold, K and V of different types, a variant that is for others; a
    /// failing device.
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        let Some(k) = &self.encode.k else {
            return Err(recorder.gpu().call(CALL, "there are no keys"));
        };
        if let Some(reason) = self.problem(k) {
            return Err(recorder.gpu().call(CALL, reason));
        }
        let encode = &self.encode;
        if encode.tokens == 0 || k.layout.n_heads == 0 {
            return Ok(());
        }
        let heads = [k, encode.v.as_ref().unwrap_or(k)];
        let plain = encode.params(heads, if encode.v.is_some() { 2 } else { 1 }, KvSide::K, WIDTH);
        encode.check_variant(recorder.gpu(), variant, heads)?;
        let (neox, normed, eps) = self.turn.params();
        let params = KvEncodeRopedParams {
            zero: plain.zero,
            tokens: plain.tokens,
            head_dim: plain.head_dim,
            row: plain.row,
            first: plain.first,
            offset: plain.offset,
            heads: plain.heads,
            sides: plain.sides,
            first_side: plain.first_side,
            tiles: plain.tiles,
            block_words: plain.block_words,
            first_block: plain.first_block,
            blocks: plain.blocks,
            fault: plain.fault,
            pairs: self.turn.pairs,
            turned: 2 * self.turn.pairs,
            neox,
            normed,
            eps,
            first_token: self.turn.first_token,
        };
        let [k, v] = heads.map(|h| h.rows.bind);
        let (slots, pool, faults) = (encode.slots, encode.pool.bind, encode.faults);
        let (factors, weight) = (self.turn.factors, self.turn.weight(k));
        let grid = encode.grid(variant, plain.sides * plain.heads);
        recorder.dispatch(variant, Bindings { k, v, slots, factors, weight, pool, faults }, &params, grid)
    }

    /// Why this cannot be done, if so.
    fn problem(&self, k: &NewHeads<'_>) -> Option<String> {
        let encode = &self.encode;
        if let Some(v) = &encode.v
            && v.layout.kv_type != k.layout.kv_type
        {
            return Some(format!(
                "K is stored as {}, V as {}: not in one dispatch",
                k.layout.kv_type, v.layout.kv_type
            ));
        }
        if let Some(v) = &encode.v
            && v.layout.head_dim % WIDTH as usize != 0
        {
            return Some(format!("V heads of {} values are no whole vectors of {WIDTH}", v.layout.head_dim));
        }
        encode.problem_of_vectors(|_| WIDTH).or_else(|| self.turn.problem(k.layout.head_dim, encode.tokens))
    }
}
