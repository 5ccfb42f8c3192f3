//! What the integer arithmetic of attention adds to the error of the codes, on q, k and v of real models.
//!
//! Yardstick: float64 attention over the decoded K and V against float64 attention over the originals. The
//! arithmetic may add 3% of that energy, and 1e-4 of the output's where the logits' standard deviation is at most 1.
//! `accuracy.rs` of turbo-cpu asks the same of random data.

use std::path::Path;
use std::sync::Arc;

use turbo_backend::plan::Step;
use turbo_backend::{BLOCK_TOKENS, BatchItem, Engine, KvLayer, KvPoolSpec, KvShape, KvTypes, LogitsFor, SideLayout};
use turbo_cpu::CpuEngine;
use turbo_cpu::attention::{AttentionJob, attention, kv_write};
use turbo_cpu::pool::ThreadPool;
use turbo_quant::KvType;
use turbo_quant::kv::decode_head;
use turbo_runtime::Model;

/// Tokens of text that a model reads.
const TOKENS: usize = 4096;

/// Queries of a length: the last ones, as many as there are.
const QUERIES: usize = 2;

/// Factors on the logits: flatter than the model has them, as they are, more peaked.
const FACTORS: [f32; 3] = [0.125, 1.0, 4.0];

const PAIRS: [(KvType, KvType); 8] = [
    (KvType::Q8_0, KvType::Q8_0),
    (KvType::Q4_0, KvType::Q4_0),
    (KvType::Turbo4, KvType::Turbo4),
    (KvType::Turbo3, KvType::Turbo3),
    (KvType::Turbo2, KvType::Turbo2),
    (KvType::Q8_0, KvType::Turbo4),
    (KvType::Turbo4, KvType::Turbo2),
    (KvType::Turbo3, KvType::Q8_0),
];

/// What attention of one layer reads, for every token: [tokens][heads * head_dim].
#[derive(Clone, Default)]
struct Heads {
    n_kv: usize,
    group: usize,
    d: usize,
    scale: f32,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Heads {
    /// The first K/V head and its query heads; keys and values of the tokens repeated to `n_keys`.
    fn first_head_over(&self, n_keys: usize) -> Self {
        let first = |x: &[f32], heads: usize, of: usize| -> Vec<f32> {
            x.chunks(heads * of * self.d).flat_map(|row| &row[..of * self.d]).copied().collect()
        };
        let repeated =
            |x: &[f32]| -> Vec<f32> { first(x, self.n_kv, 1).into_iter().cycle().take(n_keys * self.d).collect() };
        let q = first(&self.q, self.n_kv, self.group);
        Self { n_kv: 1, q, k: repeated(&self.k), v: repeated(&self.v), ..*self }
    }
}

/// q, k and v of every layer while the model reads `tokens` with an f16 cache.
fn of_model(path: &Path, tokens: usize) -> Vec<Heads> {
    let model = Model::open(path).expect("a valid model");
    let text = turbo_testkit::shared("text/the_time_machine.txt").expect("the text beside the models");
    let text = std::fs::read_to_string(text).expect("readable text");
    let ids = model.prompt_tokens(&text[..text.len().min(8 * tokens)]);
    assert!(ids.len() >= tokens, "the text has {} tokens", ids.len());
    let plan = Arc::clone(&model.plan);
    let threads = Arc::new(ThreadPool::with_default_threads());
    let mut engine = CpuEngine::new(Arc::clone(&plan), Arc::clone(&model.file), threads).expect("a valid model");
    let pool = engine
        .create_pool(&KvPoolSpec::new(&plan.kv, KvTypes::default(), tokens).expect("f16 stores any head"))
        .expect("memory");
    let blocks: Vec<u32> = (0..tokens.div_ceil(BLOCK_TOKENS) as u32).collect();
    let mut layers = vec![Heads::default(); plan.kv.len()];
    let batch = engine.max_batch_tokens();
    for start in (0..tokens).step_by(batch) {
        let tokens = &ids[start..tokens.min(start + batch)];
        let item = BatchItem { pool, blocks: &blocks, start, tokens, logits: LogitsFor::Last };
        let mut watch = |index: usize, values: &[Vec<f32>]| {
            let rows = |id: turbo_backend::plan::ValueId| &values[id.0 as usize][..tokens.len() * plan.width(id)];
            match plan.steps[index] {
                Step::KvWrite { slot, k, v } => {
                    layers[slot].k.extend(rows(k));
                    layers[slot].v.extend(rows(v));
                }
                Step::Attention { slot, q, ref spec, .. } => {
                    let (shape, heads) = (&plan.kv[slot], &mut layers[slot]);
                    heads.q.extend(rows(q));
                    (heads.n_kv, heads.d, heads.scale) = (shape.n_kv_heads, shape.head_dim_k, spec.scale);
                    heads.group = spec.n_heads / shape.n_kv_heads;
                }
                _ => {}
            }
        };
        engine.forward_watched(&[item], &mut Vec::new(), &mut watch).expect("a forward pass");
    }
    layers
}

/// K/V of one layer as they are stored.
struct Stored<'a> {
    heads: &'a Heads,
    layer: KvLayer,
    blocks: Vec<u32>,
    pools: [Vec<u32>; 2],
    /// K and V decoded and rotated back, [K/V head][token * d].
    decoded: [Vec<Vec<f32>>; 2],
    /// The same of the originals.
    original: [Vec<Vec<f32>>; 2],
}

impl<'a> Stored<'a> {
    fn new(threads: &ThreadPool, heads: &'a Heads, (k, v): (KvType, KvType)) -> Self {
        let shape = KvShape { n_kv_heads: heads.n_kv, head_dim_k: heads.d, head_dim_v: heads.d };
        let layer = KvLayer::new(shape, k, v).expect("a supported head size");
        let tokens = heads.k.len() / (heads.n_kv * heads.d);
        let blocks: Vec<u32> = (0..tokens.div_ceil(BLOCK_TOKENS) as u32).rev().collect();
        let mut pools = [&layer.k, &layer.v].map(|side| vec![0; blocks.len() * side.block_words()]);
        let [k_pool, v_pool] = &mut pools;
        kv_write(threads, &layer, k_pool, v_pool, &blocks, 0, tokens, &heads.k, &heads.v).expect("finite heads");
        let per_head = |x: &[f32], h: usize| -> Vec<f32> {
            x.chunks(heads.n_kv * heads.d).flat_map(|row| &row[h * heads.d..][..heads.d]).copied().collect()
        };
        let original = [&heads.k, &heads.v].map(|x| (0..heads.n_kv).map(|h| per_head(x, h)).collect());
        let sides = [(&layer.k, &pools[0]), (&layer.v, &pools[1])];
        let decoded =
            sides.map(|(side, pool)| (0..heads.n_kv).map(|h| decoded(side, pool, &blocks, h, tokens)).collect());
        Self { heads, layer, blocks, pools, decoded, original }
    }

    /// Errors of the last queries among the first `n_keys` tokens, `factor` times their logits; over more keys than
    /// there are queries, the last of all.
    fn errors(&self, threads: &ThreadPool, n_keys: usize, factor: f32) -> Errors {
        let Heads { n_kv, group, d, scale, ref q, .. } = *self.heads;
        let (n_heads, row, scale) = (n_kv * group, n_kv * group * d, scale * factor);
        let n_tokens = QUERIES.min(n_keys);
        let first = n_keys.min(q.len() / row) - n_tokens;
        let q = &q[first * row..][..n_tokens * row];
        let mut got = vec![f32::NAN; q.len()];
        let job = AttentionJob {
            layer: &self.layer,
            k_pool: &self.pools[0],
            v_pool: &self.pools[1],
            blocks: &self.blocks,
            start: n_keys - n_tokens,
            n_tokens,
            q,
            n_heads,
            scale,
            window: None,
            soft_cap: None,
            sinks: None,
            key_bias: None,
            out: &mut got,
        };
        attention(threads, job).expect("finite queries");
        let mut errors = Errors::default();
        for (i, (q, got)) in q.chunks(d).zip(got.chunks(d)).enumerate() {
            let (visible, kv_head) = (n_keys - n_tokens + i / n_heads + 1, i % n_heads / group);
            let attend = |[k, v]: &[Vec<Vec<f32>>; 2]| {
                let len = visible * d;
                turbo_testkit::attention(q, &k[kv_head][..len], &v[kv_head][..len], d, f64::from(scale))
            };
            let (stored, original) = (attend(&self.decoded), attend(&self.original));
            let spread = spread(q, &self.decoded[0][kv_head][..visible * d], f64::from(scale));
            let got: Vec<f64> = got.iter().map(|&x| f64::from(x)).collect();
            errors.add(energy(&got, &stored), energy(&stored, &original), energy(&stored, &vec![0.0; d]), spread);
        }
        errors
    }
}

/// One head of one side, decoded and rotated back, token by token.
fn decoded(side: &SideLayout, pool: &[u32], blocks: &[u32], head: usize, tokens: usize) -> Vec<f32> {
    let mut out = vec![0.0; tokens * side.head_dim];
    for (position, out) in out.chunks_mut(side.head_dim).enumerate() {
        let (codes, scales) = side.unit(pool, blocks[position / BLOCK_TOKENS] as usize, head);
        let t = position % BLOCK_TOKENS;
        let half = |b: usize| (scales[b * BLOCK_TOKENS / 2 + t / 2] >> (16 * (t % 2))) as u16;
        let scales: Vec<u16> = (0..side.scale_blocks).map(half).collect();
        decode_head(side.kv_type, &codes[t * side.code_words..][..side.code_words], &scales, out, false);
    }
    out
}

fn energy(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Standard deviation of the logits of one query.
fn spread(q: &[f32], keys: &[f32], scale: f64) -> f64 {
    let dot = |k: &[f32]| k.iter().zip(q).map(|(&k, &q)| f64::from(k) * f64::from(q)).sum::<f64>() * scale;
    let logits: Vec<f64> = keys.chunks_exact(q.len()).map(dot).collect();
    let mean = logits.iter().sum::<f64>() / logits.len() as f64;
    (logits.iter().map(|l| (l - mean) * (l - mean)).sum::<f64>() / logits.len() as f64).sqrt()
}

/// Error energies of some query heads.
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    /// Of the arithmetic.
    added: f64,
    /// Of the codes.
    codes: f64,
    /// Largest share of a single query head.
    worst: f64,
    /// Largest NMSE of a query head whose logits have a standard deviation of at most 1, and how many have.
    flat_nmse: f64,
    flat: usize,
}

impl Errors {
    fn add(&mut self, added: f64, codes: f64, power: f64, spread: f64) {
        self.added += added;
        self.codes += codes;
        self.worst = self.worst.max(added / codes);
        if spread <= 1.0 {
            self.flat += 1;
            self.flat_nmse = self.flat_nmse.max(added / power);
        }
    }
}

/// The worst of many [`Errors`].
#[derive(Default)]
struct Summary {
    share: f64,
    worst: f64,
    flat_nmse: f64,
    flat: usize,
}

impl Summary {
    fn add(&mut self, errors: &Errors) {
        self.share = self.share.max(errors.added / errors.codes);
        self.worst = self.worst.max(errors.worst);
        self.flat_nmse = self.flat_nmse.max(errors.flat_nmse);
        self.flat += errors.flat;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { share, worst, flat_nmse, flat } = self;
        let (share, worst) = (100.0 * share, 100.0 * worst);
        write!(f, "{share:.2}% added at most, {worst:.2}% to one head; nmse {flat_nmse:.1e} of {flat} flat heads")
    }
}

#[track_caller]
fn check(what: &str, errors: &Errors) {
    let Errors { added, codes, flat_nmse, .. } = *errors;
    let share = added / codes;
    assert!(share <= 0.03, "{what}: {:.2}% of the codes' error added", 100.0 * share);
    assert!(flat_nmse <= 1e-4, "{what}: nmse {flat_nmse:e} where the logits' standard deviation is at most 1");
}

fn check_model(file: &str) {
    let Some(path) = turbo_testkit::shared(&format!("models/{file}")) else { return };
    let threads = ThreadPool::with_default_threads();
    let layers = of_model(&path, TOKENS);
    for pair in PAIRS {
        let mut all = Summary::default();
        for index in [0, layers.len() / 2, layers.len() - 1] {
            let stored = Stored::new(&threads, &layers[index], pair);
            for n_keys in [1, 100, TOKENS] {
                for factor in FACTORS {
                    let errors = stored.errors(&threads, n_keys, factor);
                    check(&format!("{file}, layer {index}, {pair:?}, {n_keys} keys, logits x {factor}"), &errors);
                    all.add(&errors);
                }
            }
        }
        eprintln!("{file}, {}/{}: {all}", pair.0, pair.1);
        if pair.0 == pair.1 {
            // The keys of the text 32 times over: as many as the longest contexts have.
            let long = layers[layers.len() / 2].first_head_over(131_072);
            let stored = Stored::new(&threads, &long, pair);
            let errors = stored.errors(&threads, 131_072, 1.0);
            check(&format!("{file}, {pair:?}, 131072 keys"), &errors);
            eprintln!("{file}, {}/{}, 131072 keys: {:.2}%", pair.0, pair.1, 100.0 * errors.added / errors.codes);
        }
    }
}

#[test]
fn qwen3_adds_at_most_3_percent() {
    check_model("tiny-qwen3-34m.q8_0.gguf");
}

#[test]
fn llama_adds_at_most_3_percent() {
    check_model("tiny-llama-5m.f16.gguf");
}
