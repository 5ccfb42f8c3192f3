//! Storing heads: `wgsl/kernels/kv/kv_encode.wgsl` and `kv_encode_f16.wgsl`.

use turbo_backend::{KvSide, SideLayout};
use turbo_quant::KvType;
use turbo_wgsl::params::KvEncodeParams;
use turbo_wgsl::{Kernel, Variant, kv};

use super::HeadSizes;
use super::cache::{PoolPart, Rows, lanes, tiles, vector};
pub use super::fault::KvFault;
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};

/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

/// Most tokens of a dispatch, and most heads of a token: what a fault's word has room for.
const MOST: (u32, usize) = (1 << 20, 1 << 10);

/// Heads of one side that are to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewHeads<'a> {
    /// The heads of every token, after rope, not rotated.
    pub rows: Rows<'a>,
    /// How they are stored.
    pub layout: SideLayout,
    /// Words of a block of the pool before them.
    pub offset: u32,
}

/// Storing the heads of some tokens, of any sequences, in one cache slot.
#[derive(Clone, Copy, Debug)]
pub struct KvEncode<'a> {
    /// The keys, if they are to be stored.
    pub k: Option<NewHeads<'a>>,
    /// The values, if they are to be stored.
    pub v: Option<NewHeads<'a>>,
    /// Number of tokens.
    pub tokens: u32,
    /// A u32 for every token, [`super::cache::slot`]; no two tokens may have the same.
    pub slots: Bind<'a>,
    /// The blocks; tokens of other blocks are left out.
    pub pool: PoolPart<'a>,
    /// Words that faults are reported in; see [`KvFault::from_word`]. They only grow: clear them before a step.
    pub faults: Bind<'a>,
    /// Which of the words.
    pub fault: u32,
}

/// The kernel that stores `kv_type`.
pub fn kernel(kv_type: KvType) -> &'static Kernel {
    if kv_type.is_coded() { &kv::kv_encode::KERNEL } else { &kv::kv_encode_f16::KERNEL }
}

/// The variant that suits `gpu` for storing heads of such sizes as `kv_type`.
///
/// # Errors
/// None: there is one for every device.
pub fn variant(gpu: &Gpu, kv_type: KvType, sizes: HeadSizes) -> Result<&'static Variant, GpuError> {
    super::pick(gpu, kernel(kv_type), kv_type, sizes)
}

/// The grid of `h128` variants: two heads of a token in a workgroup; y and z together are the tokens.
fn grid_128(tokens: u32, heads: u32) -> Grid {
    let Grid { x, y, .. } = Grid::linear(tokens);
    Grid { x: heads.div_ceil(2), y: x, z: y }
}

impl<'a> KvEncode<'a> {
    /// Records the dispatch, two if K and V are of different types.
    ///
    /// # Errors
    /// Buffers too small for what they are said to hold; a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<(), GpuError> {
        self.record_with(recorder, variant)
    }

    /// Like [`KvEncode::record`], with the variants that `choose` names; it is told what `whole32` and `h128` variants
    /// count on.
    ///
    /// # Errors
    /// As [`KvEncode::record`].
    pub fn record_with(
        &self,
        recorder: &mut Recorder<'_>,
        choose: impl Fn(&Gpu, KvType, HeadSizes) -> Result<&'static Variant, GpuError>,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        if let Some(reason) = self.problem() {
            return Err(gpu.call("kv/kv_encode", reason));
        }
        match (&self.k, &self.v) {
            (Some(k), Some(v)) if k.layout.kv_type == v.layout.kv_type => {
                let sizes = HeadSizes::of([k, v].into_iter().map(|h| h.layout.head_dim));
                let variant = choose(gpu, k.layout.kv_type, sizes)?;
                self.dispatch(recorder, variant, [k, v], 2, KvSide::K)
            }
            (k, v) => {
                for (heads, side) in [(k, KvSide::K), (v, KvSide::V)] {
                    if let Some(heads) = heads {
                        let sizes = HeadSizes::of(std::iter::once(heads.layout.head_dim));
                        let variant = choose(gpu, heads.layout.kv_type, sizes)?;
                        self.dispatch(recorder, variant, [heads, heads], 1, side)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Why this cannot be done, if so.
    fn problem(&self) -> Option<String> {
        self.problem_of_vectors(vector)
    }

    /// The same for a kernel that loads heads by vectors of so many values.
    pub(super) fn problem_of_vectors(&self, width: impl Fn(&SideLayout) -> u32) -> Option<String> {
        let words = |bind: &Bind<'_>| bind.bytes / 4;
        if self.tokens > MOST.0 {
            return Some(format!("{} tokens, at most {} fit one dispatch", self.tokens, MOST.0));
        }
        if words(&self.slots) < self.tokens.into() {
            return Some(format!("{} tokens, slots has {} words", self.tokens, words(&self.slots)));
        }
        if words(&self.faults) <= self.fault.into() {
            return Some(format!("fault {}, faults has {} words", self.fault, words(&self.faults)));
        }
        if let (Some(k), Some(v)) = (&self.k, &self.v)
            && k.layout.n_heads != v.layout.n_heads
        {
            return Some(format!("{} K heads and {} V heads", k.layout.n_heads, v.layout.n_heads));
        }
        [&self.k, &self.v].into_iter().flatten().find_map(|heads| {
            let n_heads = heads.layout.n_heads;
            let many = n_heads > MOST.1 || u64::from(self.tokens) * n_heads as u64 * 64 > u64::from(u32::MAX);
            many.then(|| format!("{} tokens of {n_heads} heads are too many for one dispatch", self.tokens))
                .or_else(|| heads.rows.problem(&heads.layout, self.tokens, width(&heads.layout)))
                .or_else(|| self.pool.problem(&heads.layout, heads.offset))
        })
    }

    /// Refuses a variant that counts on other head sizes.
    pub(super) fn check_variant(
        &self,
        gpu: &Gpu,
        variant: &'static Variant,
        heads: [&NewHeads<'a>; 2],
    ) -> Result<(), GpuError> {
        let sizes = HeadSizes::of(heads.iter().map(|h| h.layout.head_dim));
        let fits = match variant.name.rsplit(',').next() {
            Some("h128") => sizes == HeadSizes::H128,
            Some("whole32") => sizes != HeadSizes::Any,
            _ => true,
        };
        if fits {
            return Ok(());
        }
        let [k, v] = heads.map(|h| h.layout.head_dim);
        Err(gpu.call(variant.label, format!("it is not for heads of {k} and {v} values")))
    }

    /// The params for `sides` sides from `first_side` on, whose vectors have `width` values.
    pub(super) fn params(
        &self,
        heads: [&NewHeads<'a>; 2],
        sides: u32,
        first_side: KvSide,
        width: u32,
    ) -> KvEncodeParams {
        KvEncodeParams {
            tokens: self.tokens,
            head_dim: heads.map(|h| h.layout.head_dim as u32),
            row: heads.map(|h| h.rows.row / width),
            first: heads.map(|h| h.rows.first / width),
            offset: heads.map(|h| h.offset),
            heads: heads[0].layout.n_heads as u32,
            sides,
            first_side: first_side as u32,
            tiles: heads.map(|h| tiles(&h.layout)).into_iter().max().unwrap_or(0),
            block_words: self.pool.block_words,
            first_block: self.pool.first_block,
            blocks: self.pool.blocks,
            fault: self.fault,
            ..KvEncodeParams::default()
        }
    }

    /// The grid for so many heads of a token.
    pub(super) fn grid(&self, variant: &'static Variant, heads: u32) -> Grid {
        match variant.name.ends_with("h128") {
            true => grid_128(self.tokens, heads),
            false => Grid::items(self.tokens * heads * lanes(variant), WORKGROUP),
        }
    }

    fn dispatch(
        &self,
        recorder: &mut Recorder<'_>,
        variant: &'static Variant,
        heads: [&NewHeads<'a>; 2],
        sides: u32,
        first_side: KvSide,
    ) -> Result<(), GpuError> {
        let layout = &heads[0].layout;
        if self.tokens == 0 || layout.n_heads == 0 {
            return Ok(());
        }
        self.check_variant(recorder.gpu(), variant, heads)?;
        let params = self.params(heads, sides, first_side, vector(layout));
        let grid = self.grid(variant, sides * params.heads);
        let [k, v] = heads.map(|h| h.rows.bind);
        let (slots, pool, faults) = (self.slots, self.pool.bind, self.faults);
        if layout.kv_type.is_coded() {
            recorder.dispatch(variant, kv::kv_encode::Bindings { k, v, slots, pool, faults }, &params, grid)
        } else {
            recorder.dispatch(variant, kv::kv_encode_f16::Bindings { k, v, slots, pool, faults }, &params, grid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_by_token_have_room_for_all() {
        assert_eq!(grid_128(1, 16), Grid { x: 8, y: 1, z: 1 });
        assert_eq!(grid_128(512, 3), Grid { x: 2, y: 512, z: 1 });
        let Grid { y, z, .. } = grid_128(MOST.0, 2);
        assert!(y <= 65535 && y * z >= MOST.0);
    }
}
