//! Heads back to values: `wgsl/kernels/kv/kv_decode.wgsl` and `kv_decode_f16.wgsl`.

use turbo_backend::SideLayout;
use turbo_quant::KvType;
use turbo_wgsl::params::KvDecodeParams;
use turbo_wgsl::{Kernel, Variant, kv};

use super::cache::{PoolPart, Rows, lanes, tiles, vector};
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};

/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

/// Decoding the heads of some tokens of one side of a cache slot.
#[derive(Clone, Copy, Debug)]
pub struct KvDecode<'a> {
    /// Where the values go; those of tokens in other blocks are left as they are.
    pub rows: Rows<'a>,
    /// How the heads are stored.
    pub layout: SideLayout,
    /// Words of a block of the pool before them.
    pub offset: u32,
    /// Number of tokens.
    pub tokens: u32,
    /// A u32 for every token, [`super::cache::slot`].
    pub slots: Bind<'a>,
    /// The blocks.
    pub pool: PoolPart<'a>,
    /// Leave the values rotated, as they are stored. f16 is never rotated.
    pub rotated: bool,
}

/// The kernel that decodes `kv_type`.
pub fn kernel(kv_type: KvType) -> &'static Kernel {
    if kv_type.is_coded() { &kv::kv_decode::KERNEL } else { &kv::kv_decode_f16::KERNEL }
}

/// The variant that suits `gpu` for decoding `kv_type`.
///
/// # Errors
/// None: there is one for every device.
pub fn variant(gpu: &Gpu, kv_type: KvType) -> Result<&'static Variant, GpuError> {
    match kv_type {
        KvType::F16 => Ok(kv::kv_decode_f16::PLAIN),
        _ => super::pick(gpu, kernel(kv_type), kv_type, super::HeadSizes::Any),
    }
}

impl KvDecode<'_> {
    /// Records the dispatch.
    ///
    /// # Errors
    /// Buffers too small for what they are said to hold; a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        let variant = variant(recorder.gpu(), self.layout.kv_type)?;
        self.record_with(recorder, variant)
    }

    /// Like [`KvDecode::record`], with this variant.
    ///
    /// # Errors
    /// As [`KvDecode::record`].
    pub fn record_with(&self, recorder: &mut Recorder<'_>, variant: &'static Variant) -> Result<(), GpuError> {
        let layout = &self.layout;
        let per_token = if layout.kv_type.is_coded() {
            layout.n_heads * lanes(variant) as usize
        } else {
            layout.n_heads * layout.head_dim / 2
        };
        if let Some(reason) = self.problem(per_token) {
            return Err(recorder.gpu().call("kv/kv_decode", reason));
        }
        if self.tokens == 0 || layout.n_heads == 0 {
            return Ok(());
        }
        let width = vector(layout);
        let params = KvDecodeParams {
            rotated: self.rotated.into(),
            tokens: self.tokens,
            heads: layout.n_heads as u32,
            head_dim: layout.head_dim as u32,
            row: self.rows.row / width,
            first: self.rows.first / width,
            tiles: tiles(layout),
            offset: self.offset,
            block_words: self.pool.block_words,
            first_block: self.pool.first_block,
            blocks: self.pool.blocks,
            ..KvDecodeParams::default()
        };
        let grid = Grid::items(self.tokens * per_token as u32, WORKGROUP);
        let (slots, pool, y) = (self.slots, self.pool.bind, self.rows.bind);
        if layout.kv_type.is_coded() {
            recorder.dispatch(variant, kv::kv_decode::Bindings { slots, pool, y }, &params, grid)
        } else {
            recorder.dispatch(variant, kv::kv_decode_f16::Bindings { slots, pool, y }, &params, grid)
        }
    }

    /// Why this cannot be done with `per_token` invocations for a token, if so.
    fn problem(&self, per_token: usize) -> Option<String> {
        let words = self.slots.bytes / 4;
        if words < self.tokens.into() {
            return Some(format!("{} tokens, slots has {words} words", self.tokens));
        }
        let many = u64::from(self.tokens) * per_token as u64 > u64::from(u32::MAX) - 65536;
        many.then(|| format!("{} tokens of {} heads are too many for one dispatch", self.tokens, self.layout.n_heads))
            .or_else(|| self.rows.problem(&self.layout, self.tokens, vector(&self.layout)))
            .or_else(|| self.pool.problem(&self.layout, self.offset))
    }
}
