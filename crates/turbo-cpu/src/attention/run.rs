//! Cuts an attention job into tasks and runs them.

use std::ops::Range;

use turbo_backend::BLOCK_TOKENS;

use super::shape::Shape;
use super::simd::Simd;
use super::span::{Sums, each_chunk};
use super::{AttentionFault, AttentionJob};
use crate::pool::ThreadPool;

/// Query rows of one task: enough to pay for expanding a tile, few enough for their sums to stay in the L2 cache.
const ROWS: usize = 64;

/// Tasks per thread from which the keys are not split any further.
const TASKS_PER_THREAD: usize = 4;

/// One run of chunks of one K/V head and some tokens.
struct Task<'a> {
    kv_head: usize,
    tokens: Range<usize>,
    chunks: Range<usize>,
    /// Sums of every chunk; used when the chunks of the tokens are split.
    sums: Vec<Sums>,
    /// Output heads of the K/V head's group, token by token; in the first task of the tokens only.
    outs: Vec<&'a mut [f32]>,
    fault: Option<AttentionFault>,
}

/// Attention of the new tokens of one sequence with the fastest instructions of this processor.
///
/// # Errors
/// The first query (by token, then head) that holds inf or nan; the output is unusable then.
///
/// # Panics
/// When `q`, `out`, `sinks`, the block table or a pool is shorter than the job says, or the key bias does not fit it.
pub fn attention(pool: &ThreadPool, job: AttentionJob<'_>) -> Result<(), AttentionFault> {
    attention_with(pool, Simd::best(), job)
}

/// As [`attention`], with chosen instructions: for tests and benches.
///
/// # Errors
/// As [`attention`].
///
/// # Panics
/// As [`attention`].
pub fn attention_with(pool: &ThreadPool, simd: Simd, job: AttentionJob<'_>) -> Result<(), AttentionFault> {
    let mut job = job;
    let out = std::mem::take(&mut job.out);
    let n_kv_heads = job.layer.shape.n_kv_heads;
    assert_eq!(job.n_heads % n_kv_heads, 0, "query heads are no multiple of {n_kv_heads} K/V heads");
    assert_eq!(out.len(), job.n_tokens * job.n_heads * job.layer.v.head_dim, "length of the attention output");
    if out.is_empty() {
        return Ok(());
    }
    if let Some(table) = job.key_bias {
        let tiles = (job.start + job.n_tokens).div_ceil(BLOCK_TOKENS);
        assert!(table.turns.n_tiles() >= tiles, "the key bias reaches over fewer than {tiles} tiles");
        assert_eq!(table.slot.head_dim(), job.layer.k.head_dim, "head size of the key bias");
    }
    let shape = Shape::new(simd, &job);
    let tokens_per_task = tokens_per_task(&shape, job.n_tokens, pool.threads());
    let base_tasks = n_kv_heads * job.n_tokens.div_ceil(tokens_per_task);
    let spans = if base_tasks >= TASKS_PER_THREAD * pool.threads() || pool.threads() == 1 {
        1
    } else {
        (TASKS_PER_THREAD * pool.threads()).div_ceil(base_tasks)
    };
    let mut tasks = cut(&shape, job.n_tokens, tokens_per_task, spans, out);
    if spans == 1 {
        pool.run_pieces(&mut tasks, 1, |_, tasks| tasks.iter_mut().for_each(|task| task.run_whole(&shape)));
    } else {
        pool.run_pieces(&mut tasks, 1, |_, tasks| tasks.iter_mut().for_each(|task| task.run_part(&shape)));
        pool.run_pieces(&mut tasks, spans, |_, tasks| combine(&shape, tasks));
    }
    tasks.iter().filter_map(|task| task.fault).min().map_or(Ok(()), Err)
}

fn tokens_per_task(shape: &Shape<'_>, n_tokens: usize, threads: usize) -> usize {
    let by_rows = (ROWS / shape.group()).max(1);
    let tasks = (2 * threads).div_ceil(shape.layer.shape.n_kv_heads);
    by_rows.min(n_tokens.div_ceil(tasks)).max(1)
}

/// The tasks, those of one K/V head and token range after each other; long ranges (late tokens) first.
fn cut<'a>(
    shape: &Shape<'_>,
    n_tokens: usize,
    tokens_per_task: usize,
    spans: usize,
    out: &'a mut [f32],
) -> Vec<Task<'a>> {
    let (n_kv_heads, head_dim) = (shape.layer.shape.n_kv_heads, shape.layer.v.head_dim);
    let mut outs: Vec<Vec<&mut [f32]>> = Vec::new();
    outs.resize_with(n_kv_heads * n_tokens.div_ceil(tokens_per_task), Vec::new);
    for (token, heads) in out.chunks_mut(shape.n_heads * head_dim).enumerate() {
        for (kv_head, group) in heads.chunks_mut(shape.group() * head_dim).enumerate() {
            outs[token / tokens_per_task * n_kv_heads + kv_head].push(group);
        }
    }
    let mut tasks = Vec::with_capacity(outs.len() * spans);
    for (index, outs) in outs.into_iter().enumerate().rev() {
        let first = index / n_kv_heads * tokens_per_task;
        let tokens = first..first + outs.len();
        let chunks = shape.chunks(&tokens);
        let per_span = chunks.len().div_ceil(spans);
        let mut outs = Some(outs);
        for span in 0..spans {
            let at = |s: usize| (chunks.start + s * per_span).min(chunks.end);
            tasks.push(Task {
                kv_head: index % n_kv_heads,
                tokens: tokens.clone(),
                chunks: at(span)..at(span + 1),
                sums: Vec::new(),
                outs: outs.take().unwrap_or_default(),
                fault: None,
            });
        }
    }
    tasks
}

impl Task<'_> {
    /// All chunks of the tokens, down to the output.
    fn run_whole(&mut self, shape: &Shape<'_>) {
        let mut total = Sums::empty(shape, self.tokens.len() * shape.group());
        let fold = |sums: &Sums| total.fold(shape, sums);
        self.fault = each_chunk(shape, self.kv_head, self.tokens.clone(), self.chunks.clone(), fold).err();
        self.finish(shape, &total);
    }

    /// Some of the chunks, their sums kept apart.
    fn run_part(&mut self, shape: &Shape<'_>) {
        let kept = &mut self.sums;
        let keep = |sums: &Sums| kept.push(sums.clone());
        self.fault = each_chunk(shape, self.kv_head, self.tokens.clone(), self.chunks.clone(), keep).err();
    }

    fn finish(&mut self, shape: &Shape<'_>, total: &Sums) {
        let (group, head_dim) = (shape.group(), shape.layer.v.head_dim);
        for (t, heads) in self.outs.iter_mut().enumerate() {
            for (g, out) in heads.chunks_mut(head_dim).enumerate() {
                total.output(shape, t * group + g, self.kv_head * group + g, out);
            }
        }
    }
}

/// Folds the chunks of all spans of the same tokens, in order.
fn combine(shape: &Shape<'_>, tasks: &mut [Task<'_>]) {
    let Some(first) = tasks.first() else { return };
    let mut total = Sums::empty(shape, first.tokens.len() * shape.group());
    for task in &*tasks {
        task.sums.iter().for_each(|sums| total.fold(shape, sums));
    }
    if let Some(first) = tasks.first_mut() {
        first.finish(shape, &total);
    }
}
