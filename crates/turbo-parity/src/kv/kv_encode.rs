//! `kv/kv_encode` against its twin, and the cases that `kv/kv_encode_f16` shares with it.

use turbo_backend::KvSide;
use turbo_cpu::kv::cache::HeadFault;
use turbo_cpu::kv::{kv_encode, kv_encode_f16};
use turbo_gpu::kv::cache::{PoolPart, Rows};
use turbo_gpu::kv::kv_encode::{KvEncode, KvFault, NewHeads};
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::cache::{Shape, heads};
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `kv/kv_encode`.
pub(crate) struct Encode;

impl Parity for Encode {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::kv::kv_encode::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        compare(gpu, variant, effort, tally)
    }
}

/// Runs the cases of a variant, of coded types or of f16.
pub(super) fn compare(gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
    for (i, shape) in shapes(variant, effort).enumerate() {
        let case = Case::new(&shape, i as u64);
        let (pool, faults) = case.on_gpu(gpu, variant)?;
        let (want_pool, want_faults) = case.of_twin();
        for side in 0..2 {
            let (got, width) = shape.heads(side, &pool);
            let (want, _) = shape.heads(side, &want_pool);
            let name = format!("{}, {}", shape.name(), ["K", "V"][side]);
            tally.compare_bits(&name, &got, &want, width);
        }
        tally.compare_bits(&format!("{}, whole pool", shape.name()), &pool, &want_pool, pool.len());
        tally.compare_bits(&format!("{}, faults", shape.name()), &faults, &want_faults, 1);
    }
    Ok(())
}

/// The batches of a variant: with full effort more than 100,000 heads.
fn shapes(variant: &Variant, effort: Effort) -> impl Iterator<Item = Shape> {
    let (tokens, n_heads) = effort.of((67, 2), (1153, 4));
    Shape::all(variant, n_heads, tokens)
}

/// Values between the heads of one token and of the next in the buffers.
const GAP: usize = 12;

/// One batch: K and V of all tokens in one dispatch to a pool of two parts, then V again to another pool.
struct Case<'a> {
    shape: &'a Shape,
    /// Heads of K and of V.
    x: [Vec<f32>; 2],
    /// What the pool holds before.
    before: Vec<u32>,
}

impl<'a> Case<'a> {
    fn new(shape: &'a Shape, seed: u64) -> Self {
        let mut random = Inputs::new(1000 + seed);
        let x = [0, 1].map(|side| {
            let layout = &shape.sides[side].layout;
            heads(layout, shape.slots.len() * layout.n_heads, &mut random)
        });
        let before = (0..shape.words()).map(|_| random.bits()).collect();
        Self { shape, x, before }
    }

    fn of_twin(&self) -> (Vec<u32>, Vec<u32>) {
        let mut pool = self.before.clone();
        let mut first = |side: usize| {
            let cache = &self.shape.sides[side];
            let coded = cache.layout.kv_type.is_coded();
            let encode = if coded { kv_encode::kv_encode } else { kv_encode_f16::kv_encode_f16 };
            let faults = encode(cache, &self.x[side], &self.shape.slots, &mut pool);
            faults.first().map_or(0, |&HeadFault { token, head, fault }| {
                let side = if side == 0 { KvSide::K } else { KvSide::V };
                KvFault { token: token as u32, side, head: head as u32, fault }.to_word()
            })
        };
        let (k, v) = (first(0), first(1));
        (pool, vec![0, k.max(v), v, 0])
    }

    /// The pool, and the words of faults: none, of both sides together, of V alone, none.
    fn on_gpu(&self, gpu: &Gpu, variant: &'static Variant) -> Result<(Vec<u32>, Vec<u32>), GpuError> {
        let shape = self.shape;
        let block_words = shape.sides[0].block_words;
        let tokens = shape.slots.len();
        let slots = gpu.upload("slots", &shape.slots)?;
        let faults = gpu.upload("faults", &[0_u32; 4])?;
        let x = [gpu.upload("k", &self.with_gaps(0))?, gpu.upload("v", &self.with_gaps(1))?];
        let new = |side: usize| {
            let cache = &shape.sides[side];
            let row = (cache.layout.n_heads * cache.layout.head_dim + GAP) as u32;
            let rows = Rows { bind: x[side].bind(), first: GAP as u32, row };
            Some(NewHeads { rows, layout: cache.layout, offset: cache.offset as u32 })
        };
        let cut = shape.n_blocks / 2;
        let (low, high) = self.before.split_at(cut * block_words);
        let parts = [(0, gpu.upload("pool.0", low)?), (cut, gpu.upload("pool.1", high)?)];
        let mut recorder = gpu.recorder("kv_encode");
        for (first_block, words) in &parts {
            let pool = PoolPart {
                bind: words.bind(),
                first_block: *first_block as u32,
                blocks: (words.len() / block_words) as u32,
                block_words: block_words as u32,
            };
            let (tokens, slots, faults) = (tokens as u32, slots.bind(), faults.bind());
            let both = KvEncode { k: new(0), v: new(1), tokens, slots, pool, faults, fault: 1 };
            both.record_with(&mut recorder, |_, _, _| Ok(variant))?;
            // Again: it changes nothing but the word of faults.
            KvEncode { k: None, fault: 2, ..both }.record_with(&mut recorder, |_, _, _| Ok(variant))?;
        }
        recorder.submit()?;
        let mut pool = gpu.download(&parts[0].1, 0..low.len())?;
        pool.extend(gpu.download(&parts[1].1, 0..high.len())?);
        Ok((pool, gpu.download(&faults, 0..4)?))
    }

    /// The heads of a side with gaps of nan before every token's.
    fn with_gaps(&self, side: usize) -> Vec<f32> {
        let layout = &self.shape.sides[side].layout;
        let rows = self.x[side].chunks_exact(layout.n_heads * layout.head_dim);
        rows.flat_map(|row| [f32::NAN; GAP].into_iter().chain(row.iter().copied())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_effort_stores_at_least_100_000_heads_with_every_variant() {
        let kernels = [&turbo_wgsl::kv::kv_encode::KERNEL, &turbo_wgsl::kv::kv_encode_f16::KERNEL];
        for variant in kernels.iter().flat_map(|kernel| kernel.variants) {
            let per_shape = |shape: Shape| {
                let heads: usize = shape.sides.iter().map(|side| side.layout.n_heads).sum();
                shape.slots.len() * heads
            };
            let heads: usize = shapes(variant, Effort::Full).map(per_shape).sum();
            assert!(heads >= 100_000, "{}: {heads} heads", variant.label);
        }
    }
}
