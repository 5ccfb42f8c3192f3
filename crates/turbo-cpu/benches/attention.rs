//! Time of attention per key and K/V head: `cargo bench -p turbo-cpu --bench attention [-- THREADS [best] [bias] [TYPE]]`.
//! With `bias` the keys are stored without a key bias.
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::time::Instant;

use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_backend::{BLOCK_TOKENS, KvLayer, KvShape};
use turbo_cpu::attention::{AttentionJob, KeyBiasTable, KeyTurns, Simd, SlotBias, attention_with, kv_write};
use turbo_cpu::pool::ThreadPool;
use turbo_quant::KvType;

const HEADS: usize = 8;
const DIM: usize = 128;

struct Cache {
    layer: KvLayer,
    k: Vec<u32>,
    v: Vec<u32>,
    blocks: Vec<u32>,
    bias: Option<(SlotBias, KeyTurns)>,
}

/// A key bias as Qwen2.5 7B would have it: base 10^6, 128 values.
fn key_bias(keys: usize) -> (SlotBias, KeyTurns) {
    let inv_freq = (0..DIM / 2).map(|pair| 1e6_f32.powf(-((2 * pair) as f32) / DIM as f32)).collect();
    let table = RopeTable { style: RopeStyle::Neox, inv_freq, magnitude: 1.0 };
    let mut turns = KeyTurns::new(&table);
    turns.reach(keys);
    let slot = SlotBias::new(&values(HEADS * DIM, 4), DIM, &table, &turns).expect("finite");
    (slot, turns)
}

/// Values that look like activations: no two tokens alike, mean 0.
fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| next() + next() + next()).collect()
}

fn cache(pool: &ThreadPool, k: KvType, v: KvType, keys: usize) -> Cache {
    let shape = KvShape { n_kv_heads: HEADS, head_dim_k: DIM, head_dim_v: DIM };
    let layer = KvLayer::new(shape, k, v).expect("128 fits every type");
    let blocks: Vec<u32> = (0..keys.div_ceil(BLOCK_TOKENS) as u32).collect();
    let mut cache = Cache {
        layer,
        k: vec![0; blocks.len() * layer.k.block_words()],
        v: vec![0; blocks.len() * layer.v.block_words()],
        blocks,
        bias: std::env::args().any(|arg| arg == "bias").then(|| key_bias(keys)),
    };
    let row = HEADS * DIM;
    let (new_k, new_v) = (values(512 * row, 1), values(512 * row, 2));
    for start in (0..keys).step_by(512) {
        let n = (keys - start).min(512);
        kv_write(
            pool,
            &layer,
            &mut cache.k,
            &mut cache.v,
            &cache.blocks,
            start,
            n,
            &new_k[..n * row],
            &new_v[..n * row],
        )
        .expect("finite heads");
    }
    cache
}

/// Nanoseconds: CPU time of this thread where the system tells it and only this thread works, as other processes
/// then matter less; else time passed.
fn clock(pool: &ThreadPool, begin: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let own = stat.as_deref().and_then(|s| s.split(' ').next()?.parse().ok());
    own.filter(|_| pool.threads() == 1).unwrap_or_else(|| begin.elapsed().as_nanos() as f64)
}

/// Mean of the runs of half a second, in ns per key (that a query sees), K/V head and query token.
fn time(pool: &ThreadPool, simd: Simd, cache: &Cache, keys: usize, tokens: usize, group: usize) -> f64 {
    let n_heads = HEADS * group;
    let q = values(tokens * n_heads * DIM, 3);
    let mut out = vec![0.0; tokens * n_heads * DIM];
    let begin = Instant::now();
    let start = clock(pool, begin);
    let mut runs = 0;
    while runs == 0 || begin.elapsed().as_secs_f64() < 0.5 {
        let job = AttentionJob {
            layer: &cache.layer,
            k_pool: &cache.k,
            v_pool: &cache.v,
            blocks: &cache.blocks,
            start: keys - tokens,
            n_tokens: tokens,
            q: &q,
            n_heads,
            scale: 0.088,
            window: None,
            soft_cap: None,
            sinks: None,
            key_bias: cache.bias.as_ref().map(|(slot, turns)| KeyBiasTable { slot, turns }),
            out: &mut out,
        };
        attention_with(pool, simd, job).expect("finite queries");
        runs += 1;
    }
    let seen: usize = (keys - tokens + 1..=keys).sum();
    (clock(pool, begin) - start) / (runs * seen * HEADS) as f64
}

fn main() {
    let threads = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1);
    let pool = ThreadPool::new(threads);
    let best = std::env::args().any(|arg| arg == "best");
    println!("{threads} threads; ns per key, K/V head and query token");
    println!("{:12} {:>12} {:>7} {:>6} {:>6} {:>9}", "simd", "K/V", "keys", "tokens", "group", "ns");
    let only: Option<KvType> = std::env::args().find_map(|arg| arg.parse().ok());
    let pairs = [
        (KvType::Turbo4, KvType::Turbo4),
        (KvType::Turbo3, KvType::Turbo3),
        (KvType::Q8_0, KvType::Q8_0),
        (KvType::Q4_0, KvType::Q4_0),
        (KvType::F16, KvType::F16),
    ];
    for (keys, tokens) in [(4096, 1), (32768, 1), (512, 512), (4096, 256)] {
        for (k, v) in pairs.into_iter().filter(|&(k, _)| only.is_none_or(|only| only == k)) {
            let cache = cache(&pool, k, v, keys);
            for simd in Simd::all() {
                if best && simd != Simd::best() {
                    continue;
                }
                for group in [2, 5] {
                    if simd != Simd::best() && (keys != 4096 || group != 2) {
                        continue;
                    }
                    let ns = time(&pool, simd, &cache, keys, tokens, group);
                    let pair = format!("{k}/{v}");
                    println!("{:12} {pair:>12} {keys:>7} {tokens:>6} {group:>6} {ns:>9.2}", simd.name());
                }
            }
        }
    }
}
