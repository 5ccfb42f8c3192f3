//! `kv/kv_decode` against its twin, and the cases that `kv/kv_decode_f16` shares with it.

use turbo_cpu::kv::cache::CacheSide;
use turbo_cpu::kv::{kv_decode, kv_decode_f16, kv_encode, kv_encode_f16};
use turbo_gpu::kv::cache::{PoolPart, Rows};
use turbo_gpu::kv::kv_decode::KvDecode;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::{Kernel, Variant};

use super::cache::{Shape, heads};
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `kv/kv_decode`.
pub(crate) struct Decode;

impl Parity for Decode {
    fn kernel(&self) -> &'static Kernel {
        &turbo_wgsl::kv::kv_decode::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        compare(gpu, variant, effort, tally)
    }
}

/// Runs the cases of a variant, of coded types or of f16.
pub(super) fn compare(gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
    let (tokens, n_heads) = effort.of((67, 2), (577, 4));
    for (i, shape) in Shape::all(variant, n_heads, tokens).enumerate() {
        let pool = filled(&shape, i as u64);
        for (side, cache) in shape.sides.iter().enumerate() {
            for rotated in [false, true] {
                let got = on_gpu(gpu, variant, &shape, cache, &pool, rotated)?;
                let want = of_twin(&shape, cache, &pool, rotated);
                let name = format!("{}, {}, rotated {rotated}", shape.name(), ["K", "V"][side]);
                tally.compare_bits(&name, &got, &want, cache.layout.head_dim);
            }
        }
    }
    Ok(())
}

/// A pool in which the tokens of `shape` are stored, as far as they can be; other words are 0, which is a stored 0.
fn filled(shape: &Shape, seed: u64) -> Vec<u32> {
    let mut random = Inputs::new(2000 + seed);
    let mut pool = vec![0; shape.words()];
    for cache in &shape.sides {
        let layout = &cache.layout;
        let x = heads(layout, shape.slots.len() * layout.n_heads, &mut random);
        let encode = if layout.kv_type.is_coded() { kv_encode::kv_encode } else { kv_encode_f16::kv_encode_f16 };
        encode(cache, &x, &shape.slots, &mut pool);
    }
    pool
}

/// Bits of the values of all heads, [tokens][heads * head_dim].
fn of_twin(shape: &Shape, cache: &CacheSide, pool: &[u32], rotated: bool) -> Vec<u32> {
    let mut y = vec![0.0; shape.slots.len() * cache.layout.n_heads * cache.layout.head_dim];
    match cache.layout.kv_type.is_coded() {
        true => kv_decode::kv_decode(cache, pool, &shape.slots, &mut y, rotated),
        false => kv_decode_f16::kv_decode_f16(cache, pool, &shape.slots, &mut y),
    }
    y.iter().map(|y| y.to_bits()).collect()
}

/// The same from the device, the pool in two parts.
fn on_gpu(
    gpu: &Gpu,
    variant: &'static Variant,
    shape: &Shape,
    cache: &CacheSide,
    pool: &[u32],
    rotated: bool,
) -> Result<Vec<u32>, GpuError> {
    let row = cache.layout.n_heads * cache.layout.head_dim;
    let slots = gpu.upload("slots", &shape.slots)?;
    let y = gpu.buffer::<f32>("y", shape.slots.len() * row)?;
    let cut = shape.n_blocks / 2;
    let (low, high) = pool.split_at(cut * cache.block_words);
    let parts = [(0, gpu.upload("pool.0", low)?), (cut, gpu.upload("pool.1", high)?)];
    let mut recorder = gpu.recorder("kv_decode");
    for (first_block, words) in &parts {
        let call = KvDecode {
            rows: Rows { bind: y.bind(), first: 0, row: row as u32 },
            layout: cache.layout,
            offset: cache.offset as u32,
            tokens: shape.slots.len() as u32,
            slots: slots.bind(),
            pool: PoolPart {
                bind: words.bind(),
                first_block: *first_block as u32,
                blocks: (words.len() / cache.block_words) as u32,
                block_words: cache.block_words as u32,
            },
            rotated,
        };
        call.record_with(&mut recorder, variant)?;
    }
    recorder.submit()?;
    Ok(gpu.download(&y, 0..y.len())?.iter().map(|y| y.to_bits()).collect())
}
