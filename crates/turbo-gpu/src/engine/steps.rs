//! Every step of a plan as dispatches.

use turbo_backend::plan::{AttentionSpec, Plan, Step, ValueId, WeightId};

use super::batch::{Batch, Run};
use super::{GpuEngine, Pool};
use crate::attention::decode::AttentionDecode;
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kv::cache::Rows;
use crate::kv::kv_encode::{KvEncode, NewHeads};
use crate::matmul::{Input, MatVec};
use crate::ops;
use crate::recorder::Recorder;

/// State of a recording.
struct Recording {
    /// Rows that steps work on now.
    rows: usize,
    /// The value that the codes stand for, and whether they are wide.
    coded: Option<(ValueId, bool)>,
    /// The value that lies in the buffer of selected rows.
    selected: Option<ValueId>,
}

impl GpuEngine {
    /// Records all steps.
    pub(super) fn record(&self, recorder: &mut Recorder<'_>, batch: &Batch) -> Result<(), GpuError> {
        let mut now = Recording { rows: batch.tokens.len(), coded: None, selected: None };
        let mut index = 0;
        while index < self.plan.steps.len() && now.rows > 0 {
            self.step(recorder, batch, index, &mut now)?;
            index += if self.added[index].is_some() { 2 } else { 1 };
        }
        Ok(())
    }

    /// The rows of a value.
    fn value(&self, now: &Recording, id: ValueId) -> Bind<'_> {
        if now.selected == Some(id) { self.selected.bind() } else { self.values[id.0 as usize].bind() }
    }

    fn width(&self, id: ValueId) -> u32 {
        self.plan.width(id) as u32
    }

    fn step(
        &self,
        recorder: &mut Recorder<'_>,
        batch: &Batch,
        index: usize,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let n = now.rows as u32;
        match self.plan.steps[index] {
            Step::Embed { table, out, scale } => {
                let tokens = (self.batch.tokens.bind(), n);
                ops::embed(recorder, self.weights.matrix(gpu, table)?, tokens, scale, self.value(now, out))?;
                now.changed(out);
            }
            Step::RmsNorm { x, weight, out, eps } => {
                let factors = self.weights.vector(gpu, weight)?;
                let cols = factors.len() as u32;
                let runs = n * self.width(x) / cols.max(1);
                if x == out {
                    ops::rms_norm_in_place(recorder, self.value(now, x), factors.bind(), (runs, cols), eps)?;
                } else {
                    let binds = [self.value(now, x), factors.bind(), self.value(now, out)];
                    ops::rms_norm(recorder, binds, (runs, cols), eps)?;
                }
                now.changed(out);
            }
            Step::MatMul { x, weight, bias, out } => self.product(recorder, index, [x, out], weight, bias, now)?,
            Step::Rope { x, head_dim, rope } => {
                let table = &self.plan.ropes[rope];
                let (head_dim, pairs) = (head_dim as u32, table.inv_freq.len() as u32);
                let call =
                    ops::Rope { tokens: n, heads: self.width(x) / head_dim, head_dim, pairs, style: table.style };
                call.record(recorder, self.batch.factors[rope].bind(), self.value(now, x))?;
                now.changed(x);
            }
            Step::KvWrite { slot, k, v } => self.kv_write(recorder, batch, index, slot, [k, v])?,
            Step::Attention { slot, q, out, ref spec } => {
                self.attention(recorder, batch, slot, [q, out], spec)?;
                now.changed(out);
            }
            Step::GatedAct { gate, up, activation } => {
                let binds = (self.value(now, gate), self.value(now, up));
                ops::gated_act(recorder, activation, binds.0, binds.1, n * self.width(gate))?;
                now.changed(gate);
            }
            Step::Add { x, y } => {
                let binds = (self.value(now, x), self.value(now, y));
                ops::add_scaled(recorder, (binds.0, 1.0), (binds.1, 1.0), n * self.width(x))?;
                now.changed(x);
            }
            Step::Scale { x, factor } => {
                let values = n * self.width(x);
                ops::scale(recorder, self.value(now, x), factor, values)?;
                now.changed(x);
            }
            Step::SoftCap { x, cap } => {
                ops::soft_cap(recorder, self.value(now, x), n * self.width(x), cap)?;
                now.changed(x);
            }
            Step::SelectLogits { x } => {
                now.rows = batch.wanted.len();
                if !batch.wants_all() && now.rows > 0 {
                    let binds = [self.batch.wanted.bind(), self.value(now, x), self.selected.bind()];
                    ops::select_rows(recorder, binds, (now.rows as u32, self.width(x)))?;
                    now.selected = Some(x);
                }
                now.changed(x);
            }
            ref other => return Err(gpu.call("engine", format!("there is no kernel for the step {other:?}"))),
        }
        Ok(())
    }

    /// A product, with the sum of the next step if that is all its result is for.
    fn product(
        &self,
        recorder: &mut Recorder<'_>,
        index: usize,
        [x, out]: [ValueId; 2],
        weight: WeightId,
        bias: Option<WeightId>,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let matrix = self.weights.matrix(gpu, weight)?;
        let (input, wide) = (self.value(now, x), self.wide[index]);
        let input = if matrix.is_quantised() {
            if now.coded != Some((x, wide)) {
                self.codes.record(recorder, input, now.rows * self.plan.width(x), wide)?;
                now.coded = Some((x, wide));
            }
            Input::Codes(&self.codes, wide)
        } else {
            Input::Float(input)
        };
        let to = self.added[index].unwrap_or(out);
        let call = MatVec {
            matrix,
            input,
            tokens: now.rows as u32,
            bias: bias.map(|id| self.weights.vector(gpu, id)).transpose()?.map(|vector| vector.bind()),
            add: self.added[index].is_some(),
            out: self.value(now, to),
            out_row: self.width(to),
        };
        call.record(recorder)?;
        now.changed(to);
        Ok(())
    }

    fn pool(&self, gpu: &Gpu, run: &Run) -> Result<&Pool, GpuError> {
        self.pools.get(&run.pool).ok_or_else(|| gpu.call("engine", "a pool was freed while in use"))
    }

    fn kv_write(
        &self,
        recorder: &mut Recorder<'_>,
        batch: &Batch,
        index: usize,
        slot: usize,
        [k, v]: [ValueId; 2],
    ) -> Result<(), GpuError> {
        for run in &batch.runs {
            let pool = self.pool(recorder.gpu(), run)?;
            let layer = pool.layer(slot);
            let heads = |id: ValueId, layout, offset| {
                let (row, first) = (self.width(id), run.tokens.start as u32 * self.width(id));
                let rows = Rows { bind: self.values[id.0 as usize].bind(), first, row };
                Some(NewHeads { rows, layout, offset })
            };
            let slots = self.batch.slots.bind_range(run.slot_at..run.slot_at + run.tokens.len());
            KvEncode {
                k: heads(k, layer.k, 0),
                v: heads(v, layer.v, layer.k.block_words() as u32),
                tokens: run.tokens.len() as u32,
                slots,
                pool: pool.part(slot),
                faults: self.faults.kv(),
                fault: index as u32,
            }
            .record(recorder)?;
        }
        Ok(())
    }

    fn attention(
        &self,
        recorder: &mut Recorder<'_>,
        batch: &Batch,
        slot: usize,
        [q, out]: [ValueId; 2],
        spec: &AttentionSpec,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        for run in &batch.runs {
            let pool = self.pool(gpu, run)?;
            let layer = pool.layer(slot);
            let scratch = self.scratches.of(layer).ok_or_else(|| gpu.call("engine", "attention has no scratch"))?;
            let rows = |id: ValueId| {
                let width = self.plan.width(id);
                self.values[id.0 as usize].bind_range(run.tokens.start * width..run.tokens.end * width)
            };
            let [k, v] = pool.sides(slot);
            AttentionDecode {
                layer,
                n_heads: spec.n_heads as u32,
                known: &run.sequences,
                sequences: self.batch.sequences.bind_range(run.sequence_at..run.sequence_at + run.sequences.len()),
                tables: self.batch.tables.bind(),
                query: rows(q),
                k,
                v,
                scale: spec.scale,
                window: spec.window.map(|w| u32::try_from(w).unwrap_or(u32::MAX)),
                soft_cap: spec.soft_cap,
                sinks: spec.sinks.map(|id| self.weights.vector(gpu, id)).transpose()?.map(|sinks| sinks.bind()),
                scratch,
                faults: self.faults.queries(),
                out: rows(out),
            }
            .record(recorder)?;
        }
        Ok(())
    }
}

impl Recording {
    /// Codes of a value that has changed are those of another.
    fn changed(&mut self, id: ValueId) {
        if self.coded.is_some_and(|(coded, _)| coded == id) {
            self.coded = None;
        }
    }
}

/// For every product: the value that the next step adds its result to, if nothing else reads that.
pub(super) fn added(plan: &Plan) -> Vec<Option<ValueId>> {
    let mut added = vec![None; plan.steps.len()];
    for (index, pair) in plan.steps.windows(2).enumerate() {
        if let (Step::MatMul { out, .. }, Step::Add { x, y }) = (&pair[0], &pair[1])
            && out == y
            && x != y
            && !plan.reads_before_write(index + 2, *y)
        {
            added[index] = Some(*x);
        }
    }
    added
}
