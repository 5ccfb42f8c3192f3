//! The kernels of the KV cache: K/V heads of 128 values, one token and a batch of tokens.

use turbo_backend::{BLOCK_TOKENS, SideLayout};
use turbo_gpu::kv::HeadSizes;
use turbo_gpu::kv::cache::{PoolPart, Rows, slot};
use turbo_gpu::kv::kv_decode::{self, KvDecode};
use turbo_gpu::kv::kv_encode::{self, KvEncode, NewHeads};
use turbo_gpu::kv::rotate::{self, Rotate};
use turbo_gpu::{Buffer, Gpu, GpuError};
use turbo_parity::Inputs;
use turbo_quant::KvType;

use crate::bench::{Bench, Subject};
use crate::count;
use crate::error::BenchError;

/// Values of a head.
const HEAD_DIM: usize = 128;

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let sizes = [1, bench.options.batch_tokens()];
    for tokens in sizes {
        rotation(bench, tokens)?;
    }
    for kv_type in KvType::ALL {
        // There is a layout of every type for heads of 128 values.
        let Ok(layout) = SideLayout::new(kv_type, bench.options.kv_heads, HEAD_DIM) else { continue };
        for tokens in sizes {
            let cache = Cache::new(bench.gpu, layout, tokens)?;
            encode(bench, &cache)?;
            decode(bench, &cache)?;
        }
    }
    Ok(())
}

/// "1 token", "512 tokens".
fn of_tokens(tokens: usize) -> String {
    if tokens == 1 { "1 token".to_owned() } else { format!("{tokens} tokens") }
}

/// Rotating the query heads of some tokens.
fn rotation(bench: &mut Bench<'_>, tokens: usize) -> Result<(), BenchError> {
    let (gpu, heads) = (bench.gpu, tokens * bench.options.heads);
    let x = gpu.upload("x", &Inputs::new(1).normals(heads * HEAD_DIM))?;
    let y = gpu.buffer::<f32>("y", x.len())?;
    let call = Rotate { heads: heads as u32, head_dim: HEAD_DIM as u32, inverse: false };
    let kernel = &turbo_wgsl::kv::rotate::KERNEL;
    for variant in bench.variants(kernel, "n128", rotate::variant(gpu, HEAD_DIM)?) {
        let mut subject = Subject::of(kernel, variant);
        subject.shape = format!("{} of {} heads of {HEAD_DIM}", of_tokens(tokens), bench.options.heads);
        subject.set(count::rotate(heads, HEAD_DIM));
        bench.measure(subject, |recorder| call.record_with(recorder, x.bind(), y.bind(), |_, _| Ok(variant)))?;
    }
    Ok(())
}

/// Heads of some tokens, and a cache slot that they are stored in.
struct Cache {
    layout: SideLayout,
    tokens: usize,
    blocks: usize,
    k: Buffer<f32>,
    v: Buffer<f32>,
    slots: Buffer<u32>,
    pool: Buffer<u32>,
    faults: Buffer<u32>,
}

impl Cache {
    fn new(gpu: &Gpu, layout: SideLayout, tokens: usize) -> Result<Self, GpuError> {
        // The first token does not begin a block.
        let first = 17;
        let blocks = (first + tokens).div_ceil(BLOCK_TOKENS) + 1;
        let place = |i: usize| slot(((first + i) / BLOCK_TOKENS) as u32, ((first + i) % BLOCK_TOKENS) as u32);
        let slots: Vec<u32> = (0..tokens).map(place).collect();
        let values = |seed: u64| Inputs::new(seed).normals(tokens * layout.n_heads * layout.head_dim);
        Ok(Self {
            layout,
            tokens,
            blocks,
            k: gpu.upload("k", &values(1))?,
            v: gpu.upload("v", &values(2))?,
            slots: gpu.upload("slots", &slots)?,
            pool: gpu.buffer("pool", blocks * 2 * layout.block_words())?,
            faults: gpu.buffer("faults", 4)?,
        })
    }

    fn part(&self) -> PoolPart<'_> {
        let block_words = 2 * self.layout.block_words() as u32;
        PoolPart { bind: self.pool.bind(), first_block: 0, blocks: self.blocks as u32, block_words }
    }

    fn heads<'a>(&self, values: &'a Buffer<f32>, offset: usize) -> NewHeads<'a> {
        NewHeads { rows: self.rows(values), layout: self.layout, offset: offset as u32 }
    }

    fn rows<'a>(&self, values: &'a Buffer<f32>) -> Rows<'a> {
        Rows { bind: values.bind(), first: 0, row: (self.layout.n_heads * self.layout.head_dim) as u32 }
    }

    fn shape(&self, sides: &str) -> String {
        format!("{}, {} K/V heads of {HEAD_DIM}, {sides}", of_tokens(self.tokens), self.layout.n_heads)
    }
}

/// Name of the variants of a type: f16 has a kernel of its own.
fn prefix(kv_type: KvType) -> &'static str {
    if kv_type.is_coded() { kv_type.name() } else { "" }
}

fn encode(bench: &mut Bench<'_>, cache: &Cache) -> Result<(), BenchError> {
    let kv_type = cache.layout.kv_type;
    let call = KvEncode {
        k: Some(cache.heads(&cache.k, 0)),
        v: Some(cache.heads(&cache.v, cache.layout.block_words())),
        tokens: cache.tokens as u32,
        slots: cache.slots.bind(),
        pool: cache.part(),
        faults: cache.faults.bind(),
        fault: 0,
    };
    let kernel = kv_encode::kernel(kv_type);
    let one = count::encode(&cache.layout, cache.tokens);
    for variant in bench.variants(kernel, prefix(kv_type), kv_encode::variant(bench.gpu, kv_type, HeadSizes::H128)?) {
        let mut subject = Subject::of(kernel, variant);
        subject.shape = cache.shape("K and V");
        subject.set(one.plus(one));
        bench.measure(subject, |recorder| call.record_with(recorder, |_, _, _| Ok(variant)))?;
    }
    Ok(())
}

fn decode(bench: &mut Bench<'_>, cache: &Cache) -> Result<(), BenchError> {
    let kv_type = cache.layout.kv_type;
    let call = KvDecode {
        rows: cache.rows(&cache.k),
        layout: cache.layout,
        offset: 0,
        tokens: cache.tokens as u32,
        slots: cache.slots.bind(),
        pool: cache.part(),
        rotated: false,
    };
    let kernel = kv_decode::kernel(kv_type);
    for variant in bench.variants(kernel, prefix(kv_type), kv_decode::variant(bench.gpu, kv_type)?) {
        let mut subject = Subject::of(kernel, variant);
        subject.shape = cache.shape("one side");
        subject.set(count::decode(&cache.layout, cache.tokens));
        bench.measure(subject, |recorder| call.record_with(recorder, variant))?;
    }
    Ok(())
}
