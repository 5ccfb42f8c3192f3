//! What each step of a plan does on the CPU.

use turbo_backend::plan::{AttentionSpec, Step, ValueId, WeightId};
use turbo_backend::{BackendError, BatchItem, KvSide};

use super::batch::Rows;
use super::{CpuEngine, KvPool};
use crate::attention::{self, AttentionFault, AttentionJob, KvFault};
use crate::matmul;
use crate::ops;

/// Rows that one task of a simple operation takes.
const ROWS_PER_TASK: usize = 8;

impl CpuEngine {
    /// Runs step `index` on the rows of a batch.
    pub(super) fn step(
        &mut self,
        index: usize,
        step: &Step,
        items: &[BatchItem<'_>],
        rows: &mut Rows,
    ) -> Result<(), BackendError> {
        let n = rows.len();
        match *step {
            Step::Embed { table, out, scale } => self.embed(table, out, scale, items)?,
            Step::RmsNorm { x, weight, out, eps } => self.rms_norm(x, weight, out, eps, n),
            Step::MatMul { x, weight, bias, out } => self.mat_mul(index, x, weight, bias, out, n)?,
            Step::Rope { x, head_dim, rope } => self.rope(x, head_dim, rope, n),
            Step::KvWrite { slot, k, v } => self.kv_write(index, slot, k, v, items)?,
            Step::Attention { slot, q, out, ref spec } => self.attention(index, slot, q, out, spec, items)?,
            Step::GatedAct { gate, up, activation } => {
                self.pair(gate, up, n, |gate, up| ops::gated(activation, gate, up));
            }
            Step::Add { x, y } => {
                self.pair(x, y, n, |x, y| x.iter_mut().zip(y).for_each(|(x, y)| *x += y));
            }
            Step::Scale { x, factor } => self.each_row(x, n, |_, row| ops::scale::scale(row, factor)),
            Step::SoftCap { x, cap } => self.each_row(x, n, |_, row| ops::soft_cap(cap, row)),
            Step::SelectLogits { x } => {
                let width = self.plan.width(x);
                rows.select(&mut self.values[x.0 as usize], width);
                self.changed(x);
            }
            ref other => {
                return Err(BackendError::Device { device: "cpu".into(), reason: format!("it has no step {other:?}") });
            }
        }
        Ok(())
    }

    /// Marks a value as changed, so that prepared activations made from it are not used again.
    fn changed(&mut self, id: ValueId) {
        if self.prepared == Some(id) {
            self.prepared = None;
        }
    }

    /// Takes the buffer of a value out, long enough for `n` rows; [`Self::put`] brings it back.
    fn take(&mut self, id: ValueId, n: usize) -> Vec<f32> {
        let mut buffer = std::mem::take(&mut self.values[id.0 as usize]);
        let len = n * self.plan.width(id);
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        self.changed(id);
        buffer
    }

    fn put(&mut self, id: ValueId, buffer: Vec<f32>) {
        self.values[id.0 as usize] = buffer;
    }

    /// The first `n` rows of a value.
    fn rows(&self, id: ValueId, n: usize) -> &[f32] {
        &self.values[id.0 as usize][..n * self.plan.width(id)]
    }

    /// Calls `f(row index, row)` for `n` rows of a value, in parallel.
    fn each_row(&mut self, id: ValueId, n: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
        let width = self.plan.width(id);
        let mut buffer = self.take(id, n);
        self.threads.run_pieces(&mut buffer[..n * width], ROWS_PER_TASK * width, |task, rows| {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                f(task * ROWS_PER_TASK + i, row);
            }
        });
        self.put(id, buffer);
    }

    /// Calls `f(row of x, row of y)` for `n` rows, in parallel; `x` is changed.
    fn pair(&mut self, x: ValueId, y: ValueId, n: usize, f: impl Fn(&mut [f32], &[f32]) + Sync) {
        let width = self.plan.width(y);
        let other = std::mem::take(&mut self.values[y.0 as usize]);
        self.each_row(x, n, |i, row| f(row, &other[i * width..][..width]));
        self.put(y, other);
    }

    fn embed(
        &mut self,
        table: WeightId,
        out: ValueId,
        scale: f32,
        items: &[BatchItem<'_>],
    ) -> Result<(), BackendError> {
        let tokens: Vec<u32> = items.iter().flat_map(|item| item.tokens).copied().collect();
        let mut buffer = self.take(out, tokens.len());
        let width = self.plan.width(out);
        let weight = self.weights.matrix(table)?;
        for (row, &token) in buffer.chunks_exact_mut(width).zip(&tokens) {
            ops::embed::embed(weight.ty, weight.data, token, scale, row)
                .map_err(|error| BackendError::Device { device: "cpu".into(), reason: error.to_string() })?;
        }
        self.put(out, buffer);
        Ok(())
    }

    fn rms_norm(&mut self, x: ValueId, weight: WeightId, out: ValueId, eps: f32, n: usize) {
        let width = self.plan.width(x);
        let mut buffer = self.take(out, n);
        let factors = self.weights.vector(weight);
        let from = (x != out).then(|| self.rows(x, n));
        self.threads.run_pieces(&mut buffer[..n * width], ROWS_PER_TASK * width, |task, rows| match from {
            None => ops::rms_norm(rows, factors, eps),
            Some(from) => ops::rms_norm_to(rows, &from[task * ROWS_PER_TASK * width..][..rows.len()], factors, eps),
        });
        self.put(out, buffer);
    }

    fn mat_mul(
        &mut self,
        index: usize,
        x: ValueId,
        weight: WeightId,
        bias: Option<WeightId>,
        out: ValueId,
        n: usize,
    ) -> Result<(), BackendError> {
        let mut buffer = self.take(out, n);
        let matrix = self.weights.matrix(weight)?;
        if self.prepared != Some(x) {
            let width = self.plan.width(x);
            let forms = self.forms[index];
            self.activations.prepare(&self.threads, &self.values[x.0 as usize][..n * width], n, width, forms);
            self.prepared = Some(x);
        }
        let bias = bias.map(|id| self.weights.vector(id));
        matmul::matmul(&self.threads, matrix, &self.activations, bias, &mut buffer, matrix.rows);
        self.put(out, buffer);
        Ok(())
    }

    fn rope(&mut self, x: ValueId, head_dim: usize, rope: usize, n: usize) {
        let angles = std::mem::take(&mut self.angles[rope]);
        let style = self.plan.ropes[rope].style;
        self.each_row(x, n, |i, row| angles.apply(style, i, row, head_dim));
        self.angles[rope] = angles;
    }

    fn kv_write(
        &mut self,
        index: usize,
        slot: usize,
        k: ValueId,
        v: ValueId,
        items: &[BatchItem<'_>],
    ) -> Result<(), BackendError> {
        let (width_k, width_v) = (self.plan.width(k), self.plan.width(v));
        let mut row = 0;
        for item in items {
            let n = item.tokens.len();
            let pool = self.pools.get_mut(&item.pool).ok_or_else(missing_pool)?;
            let k = &self.values[k.0 as usize][row * width_k..][..n * width_k];
            let v = &self.values[v.0 as usize][row * width_v..][..n * width_v];
            let layer = &pool.spec.layers[slot];
            let (k_pool, v_pool) = (&mut pool.k[slot], &mut pool.v[slot]);
            attention::kv_write(&self.threads, layer, k_pool, v_pool, item.blocks, item.start, n, k, v)
                .map_err(|fault| self.kv_fault(index, item, fault))?;
            row += n;
        }
        Ok(())
    }

    fn attention(
        &mut self,
        index: usize,
        slot: usize,
        q: ValueId,
        out: ValueId,
        spec: &AttentionSpec,
        items: &[BatchItem<'_>],
    ) -> Result<(), BackendError> {
        let total: usize = items.iter().map(|item| item.tokens.len()).sum();
        let (width_q, width_out) = (self.plan.width(q), self.plan.width(out));
        let mut buffer = self.take(out, total);
        let mut row = 0;
        for item in items {
            let n = item.tokens.len();
            let pool: &KvPool = self.pools.get(&item.pool).ok_or_else(missing_pool)?;
            let job = AttentionJob {
                layer: &pool.spec.layers[slot],
                k_pool: &pool.k[slot],
                v_pool: &pool.v[slot],
                blocks: item.blocks,
                start: item.start,
                n_tokens: n,
                n_heads: spec.n_heads,
                scale: spec.scale,
                window: spec.window,
                soft_cap: spec.soft_cap,
                key_bias: self.key_biases.of(slot),
                sinks: spec.sinks.map(|id| self.weights.vector(id)),
                q: &self.values[q.0 as usize][row * width_q..][..n * width_q],
                out: &mut buffer[row * width_out..][..n * width_out],
            };
            attention::attention(&self.threads, job).map_err(|fault| self.query_fault(index, item, fault))?;
            row += n;
        }
        self.put(out, buffer);
        Ok(())
    }

    fn kv_fault(&self, step: usize, item: &BatchItem<'_>, fault: KvFault) -> BackendError {
        BackendError::KvFault {
            layer: self.plan.layer_of(step).unwrap_or(0),
            position: item.start + fault.token,
            side: if fault.side == KvSide::K { "K" } else { "V" },
            problem: fault.fault.to_string(),
        }
    }

    fn query_fault(&self, step: usize, item: &BatchItem<'_>, fault: AttentionFault) -> BackendError {
        BackendError::KvFault {
            layer: self.plan.layer_of(step).unwrap_or(0),
            position: item.start + fault.token,
            side: "Q",
            problem: format!("of head {} holds inf or nan", fault.head),
        }
    }
}

fn missing_pool() -> BackendError {
    BackendError::InvalidBatch("a pool was freed while in use".into())
}
