//! What the CPU makes of a problem.

use std::sync::LazyLock;

use turbo_backend::BLOCK_TOKENS;
use turbo_backend::key_bias::KeyBiasTable;
use turbo_cpu::attention::twin::{HeadCache, HeadQuery, attend};
use turbo_cpu::attention::{AttentionJob, attention};
use turbo_cpu::pool::ThreadPool;

use super::Problem;

/// More keys than this are left to the fast CPU path, which its own tests hold to the twin.
const TWIN_KEYS: usize = 300;

/// The threads of every twin.
static THREADS: LazyLock<ThreadPool> = LazyLock::new(ThreadPool::with_default_threads);

/// What the CPU needs of a problem, beside the problem.
struct OnCpu<'a> {
    problem: &'a Problem,
    k_pool: Vec<u32>,
    v_pool: Vec<u32>,
    key_bias: Option<KeyBiasTable<'a>>,
}

/// One sequence of it.
struct Part<'a> {
    blocks: &'a [u32],
    start: usize,
    n_tokens: usize,
    q: &'a [f32],
}

impl Problem {
    /// What the twin computes: [row][head_dim_v].
    pub fn of_twin(&self) -> Vec<f32> {
        let on = OnCpu::new(self);
        let (dk, dv) = (self.layer.k.head_dim, self.layer.v.head_dim);
        let n_heads = on.n_heads();
        let exact = self.case.k.is_coded() && self.case.v.is_coded();
        let mut out = vec![0.0; self.rows() * dv];
        for (sequence, &(keys, _)) in self.sequences.iter().zip(&self.case.sequences) {
            let (first, n_tokens) = (sequence.first as usize, sequence.tokens as usize);
            let part = Part {
                blocks: &self.tables[sequence.table as usize..][..keys.div_ceil(BLOCK_TOKENS)],
                start: sequence.start as usize,
                n_tokens,
                q: &self.query[first * n_heads * dk..][..n_tokens * n_heads * dk],
            };
            let out = &mut out[first * n_heads * dv..][..n_tokens * n_heads * dv];
            if exact && keys > TWIN_KEYS {
                on.fast(&part, out);
            } else {
                on.plain(&part, out);
            }
        }
        out
    }
}

impl<'a> OnCpu<'a> {
    fn new(problem: &'a Problem) -> Self {
        let (mut k_pool, mut v_pool) = (Vec::new(), Vec::new());
        for block in problem.pool.chunks_exact(problem.block_words()) {
            let (k, v) = block.split_at(problem.layer.k.block_words());
            k_pool.extend(k);
            v_pool.extend(v);
        }
        let key_bias = problem.key_bias.as_ref().map(|(slot, turns)| KeyBiasTable { slot, turns });
        Self { problem, k_pool, v_pool, key_bias }
    }

    fn n_heads(&self) -> usize {
        self.problem.case.kv_heads * self.problem.case.group
    }

    fn window(&self) -> Option<usize> {
        self.problem.case.window.map(|w| w as usize)
    }

    fn fast(&self, part: &Part<'_>, out: &mut [f32]) {
        let problem = self.problem;
        let job = AttentionJob {
            layer: &problem.layer,
            k_pool: &self.k_pool,
            v_pool: &self.v_pool,
            key_bias: self.key_bias,
            blocks: part.blocks,
            start: part.start,
            n_tokens: part.n_tokens,
            q: part.q,
            n_heads: self.n_heads(),
            scale: problem.scale(),
            window: self.window(),
            soft_cap: problem.case.soft_cap,
            sinks: problem.sinks.as_deref(),
            out,
        };
        // The queries are finite.
        let _ = attention(&THREADS, job);
    }

    fn plain(&self, part: &Part<'_>, out: &mut [f32]) {
        let (problem, n_heads) = (self.problem, self.n_heads());
        let (dk, dv) = (problem.layer.k.head_dim, problem.layer.v.head_dim);
        THREADS.run_pieces(out, dv, |row, out| {
            let head = row % n_heads;
            let cache = HeadCache {
                layer: &problem.layer,
                k_pool: &self.k_pool,
                v_pool: &self.v_pool,
                key_bias: self.key_bias,
                blocks: part.blocks,
                kv_head: head / problem.case.group,
            };
            let query = HeadQuery {
                q: &part.q[row * dk..][..dk],
                position: part.start + row / n_heads,
                scale: problem.scale(),
                window: self.window(),
                soft_cap: problem.case.soft_cap,
                sink: problem.sinks.as_ref().map(|s| s[head]),
            };
            // The queries are finite.
            let _ = attend(&cache, &query, out);
        });
    }
}
