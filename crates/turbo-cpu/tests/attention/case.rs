//! A cache with a scattered block table and leftovers in every unused slot, and queries for it.

use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_backend::{BLOCK_TOKENS, KvLayer, KvShape};
use turbo_cpu::attention::twin::{HeadCache, HeadQuery, attend};
use turbo_cpu::attention::{
    AttentionFault, AttentionJob, KeyBiasTable, KeyTurns, Simd, SlotBias, attention_with, kv_write,
};
use turbo_cpu::pool::ThreadPool;
use turbo_quant::KvType;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn gauss(&mut self) -> f32 {
        let (a, b) = (self.uniform().max(1e-300), self.uniform());
        ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
    }

    pub(crate) fn gaussians(&mut self, n: usize, sigma: f32) -> Vec<f32> {
        (0..n).map(|_| self.gauss() * sigma).collect()
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}

/// A key bias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bias {
    /// Standard deviation of its values; keys have 1.
    pub(crate) size: f32,
    pub(crate) style: RopeStyle,
    /// How many values of a head are rotated.
    pub(crate) rotated: usize,
    /// Base of the frequencies.
    pub(crate) base: f64,
    pub(crate) magnitude: f32,
}

impl Bias {
    pub(crate) fn new(size: f32, style: RopeStyle, rotated: usize) -> Self {
        Self { size, style, rotated, base: 1e6, magnitude: 1.0 }
    }

    fn table(&self) -> RopeTable {
        let frequency = |pair: usize| self.base.powf(-((2 * pair) as f64) / self.rotated as f64) as f32;
        let inv_freq = (0..self.rotated / 2).map(frequency).collect();
        RopeTable { style: self.style, inv_freq, magnitude: self.magnitude }
    }
}

/// A key bias made ready.
pub(crate) struct ReadyBias {
    table: RopeTable,
    values: Vec<f32>,
    slot: SlotBias,
    turns: KeyTurns,
}

impl ReadyBias {
    fn new(bias: &Bias, case: &Case) -> Self {
        let values = Random(case.seed ^ 0xb1a5).gaussians(case.n_kv_heads * case.dk, bias.size);
        Self::of(bias.table(), values, case)
    }

    pub(crate) fn of(table: RopeTable, values: Vec<f32>, case: &Case) -> Self {
        let mut turns = KeyTurns::new(&table);
        turns.reach(case.n_keys);
        let slot = SlotBias::new(&values, case.dk, &table, &turns).expect("a finite bias");
        Self { table, values, slot, turns }
    }

    pub(crate) fn job(&self) -> KeyBiasTable<'_> {
        KeyBiasTable { slot: &self.slot, turns: &self.turns }
    }

    /// The bias of the only K/V head at a position, rotated as rope does it.
    pub(crate) fn key(&self, position: usize) -> Vec<f64> {
        let mut key: Vec<f64> = self.values.iter().map(|&v| f64::from(v)).collect();
        let pairs = self.table.inv_freq.len();
        for (i, &f) in self.table.inv_freq.iter().enumerate() {
            let (x, y) = if self.table.style == RopeStyle::Neox { (i, i + pairs) } else { (2 * i, 2 * i + 1) };
            let (sin, cos) = (position as f64 * f64::from(f)).sin_cos();
            let m = f64::from(self.table.magnitude);
            (key[x], key[y]) = (m * (key[x] * cos - key[y] * sin), m * (key[x] * sin + key[y] * cos));
        }
        key
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) k: KvType,
    pub(crate) v: KvType,
    pub(crate) dk: usize,
    pub(crate) dv: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) group: usize,
    /// Positions in the cache, the queries' own included.
    pub(crate) n_keys: usize,
    /// The last so many positions are queries.
    pub(crate) n_tokens: usize,
    pub(crate) window: Option<usize>,
    pub(crate) soft_cap: Option<f32>,
    pub(crate) sinks: bool,
    /// Standard deviation of the logits.
    pub(crate) peak: f32,
    pub(crate) seed: u64,
    pub(crate) bias: Option<Bias>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            k: KvType::Turbo4,
            v: KvType::Turbo4,
            dk: 128,
            dv: 128,
            n_kv_heads: 1,
            group: 1,
            n_keys: 100,
            n_tokens: 1,
            window: None,
            soft_cap: None,
            sinks: false,
            peak: 1.0,
            seed: 1,
            bias: None,
        }
    }
}

/// A filled cache and its queries.
pub(crate) struct Filled {
    pub(crate) case: Case,
    pub(crate) layer: KvLayer,
    pub(crate) k_pool: Vec<u32>,
    pub(crate) v_pool: Vec<u32>,
    pub(crate) blocks: Vec<u32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) q: Vec<f32>,
    pub(crate) sinks: Vec<f32>,
    pub(crate) scale: f32,
    pub(crate) bias: Option<ReadyBias>,
}

impl Case {
    pub(crate) fn fill(self) -> Filled {
        let mut random = Random(self.seed);
        let k = random.gaussians(self.n_keys * self.n_kv_heads * self.dk, 1.0);
        let v = random.gaussians(self.n_keys * self.n_kv_heads * self.dv, 1.0);
        let q = random.gaussians(self.n_tokens * self.n_kv_heads * self.group * self.dk, self.peak);
        self.fill_with(k, v, q)
    }

    pub(crate) fn fill_with(self, k: Vec<f32>, v: Vec<f32>, q: Vec<f32>) -> Filled {
        let mut random = Random(self.seed ^ 0x55);
        let shape = KvShape { n_kv_heads: self.n_kv_heads, head_dim_k: self.dk, head_dim_v: self.dv };
        let layer = KvLayer::new(shape, self.k, self.v).expect("a supported head size");
        let used = self.n_keys.div_ceil(BLOCK_TOKENS);
        let n_blocks = used + 3;
        let mut order: Vec<u32> = (0..n_blocks as u32).collect();
        for i in (1..n_blocks).rev() {
            order.swap(i, random.below(i + 1));
        }
        let mut leftovers = |words: usize| (0..words).map(|_| random.bits() as u32).collect::<Vec<_>>();
        let mut k_pool = leftovers(n_blocks * layer.k.block_words());
        let mut v_pool = leftovers(n_blocks * layer.v.block_words());
        let sinks = random.gaussians(self.n_kv_heads * self.group, 2.0);
        order.truncate(used);
        let pool = ThreadPool::new(1);
        kv_write(&pool, &layer, &mut k_pool, &mut v_pool, &order, 0, self.n_keys, &k, &v).expect("finite heads");
        let scale = 1.0 / (self.dk as f32).sqrt();
        let bias = self.bias.map(|bias| ReadyBias::new(&bias, &self));
        Filled { case: self, layer, k_pool, v_pool, blocks: order, k, v, q, sinks, scale, bias }
    }
}

impl Filled {
    pub(crate) fn n_heads(&self) -> usize {
        self.case.n_kv_heads * self.case.group
    }

    /// The fast path over query tokens `from..to`.
    pub(crate) fn run(
        &self,
        pool: &ThreadPool,
        simd: Simd,
        from: usize,
        to: usize,
    ) -> Result<Vec<f32>, AttentionFault> {
        let case = &self.case;
        let (row, width) = (self.n_heads() * case.dk, self.n_heads() * case.dv);
        let mut out = vec![f32::NAN; (to - from) * width];
        let job = AttentionJob {
            layer: &self.layer,
            k_pool: &self.k_pool,
            v_pool: &self.v_pool,
            blocks: &self.blocks,
            start: case.n_keys - case.n_tokens + from,
            n_tokens: to - from,
            q: &self.q[from * row..to * row],
            n_heads: self.n_heads(),
            scale: self.scale,
            window: case.window,
            soft_cap: case.soft_cap,
            sinks: case.sinks.then_some(&self.sinks[..]),
            key_bias: self.bias.as_ref().map(ReadyBias::job),
            out: &mut out,
        };
        attention_with(pool, simd, job)?;
        Ok(out)
    }

    /// The twin over all query tokens.
    pub(crate) fn twin(&self) -> Vec<f32> {
        let case = &self.case;
        let mut out = vec![f32::NAN; case.n_tokens * self.n_heads() * case.dv];
        for (i, out) in out.chunks_mut(case.dv).enumerate() {
            let (token, head) = (i / self.n_heads(), i % self.n_heads());
            let cache = HeadCache {
                layer: &self.layer,
                k_pool: &self.k_pool,
                v_pool: &self.v_pool,
                blocks: &self.blocks,
                kv_head: head / case.group,
                key_bias: self.bias.as_ref().map(ReadyBias::job),
            };
            let query = HeadQuery {
                q: &self.q[i * case.dk..][..case.dk],
                position: case.n_keys - case.n_tokens + token,
                scale: self.scale,
                window: case.window,
                soft_cap: case.soft_cap,
                sink: case.sinks.then(|| self.sinks[head]),
            };
            attend(&cache, &query, out).expect("finite queries");
        }
        out
    }
}

/// Panics with the first differing value.
#[track_caller]
pub(crate) fn assert_same_bits(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len());
    let differing = got.iter().zip(want).position(|(g, w)| g.to_bits() != w.to_bits());
    if let Some(i) = differing {
        panic!("{what}: value {i} is {} instead of {}", got[i], want[i]);
    }
}
