//! Every step of a plan as dispatches.

use turbo_backend::plan::{AttentionSpec, Step, ValueId};

use super::batch::{Batch, Run};
use super::fuse::Op;
use super::products::{Form, Normed};
use super::{GpuEngine, Pool};
use crate::attention::decode::AttentionDecode;
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kv::cache::Rows;
use crate::kv::kv_encode::{KvEncode, NewHeads};
use crate::ops;
use crate::recorder::Recorder;

/// Steps after which the device is first given something to do, and from then on.
const FIRST_FLUSH: usize = 24;
const FLUSH: usize = 128;

/// State of a recording.
pub(super) struct Recording {
    /// Rows that steps work on now.
    pub(super) rows: usize,
    /// The value that the codes or halves stand for.
    pub(super) coded: Option<(ValueId, Form)>,
    /// The norm that the normed codes stand for.
    pub(super) normed: Option<Normed>,
    /// The value that lies in the buffer of selected rows.
    pub(super) selected: Option<ValueId>,
}

impl GpuEngine {
    /// Records all steps, then the choices.
    pub(super) fn record(&self, recorder: &mut Recorder<'_>, batch: &Batch) -> Result<(), GpuError> {
        let mut now = Recording { rows: batch.tokens.len(), coded: None, normed: None, selected: None };
        for (count, op) in self.ops.iter().enumerate() {
            if now.rows == 0 {
                break;
            }
            // A device with nothing to do starts on a few steps while the host records the rest.
            if self.flights.is_empty() && (count == FIRST_FLUSH || count % FLUSH == FLUSH - 1) {
                recorder.flush()?;
            }
            match *op {
                Op::Step(index) => self.step(recorder, batch, index, &mut now)?,
                Op::NormRope { norm, rope } => self.norm_rope(recorder, norm, rope, &mut now)?,
                ref op => self.products(recorder, batch, op, &mut now)?,
            }
        }
        let logits = self.values[self.plan.logits.0 as usize].bind();
        self.choices.record(recorder, logits, batch.rows_for_host(), &batch.choices)
    }

    /// The rows of a value.
    pub(super) fn value(&self, now: &Recording, id: ValueId) -> Bind<'_> {
        if now.selected == Some(id) { self.selected.bind() } else { self.values[id.0 as usize].bind() }
    }

    pub(super) fn width(&self, id: ValueId) -> u32 {
        self.plan.width(id) as u32
    }

    pub(super) fn step(
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
                let table = self.weights.matrix(gpu, table)?;
                ops::embed(recorder, table, tokens, self.choices.chosen(), scale, self.value(now, out))?;
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
            Step::MatMul { .. } => self.product(recorder, index, None, now)?,
            Step::Rope { x, head_dim, rope } => {
                let factors = self.batch.factors[rope].bind();
                self.rope(x, head_dim, rope, now).record(recorder, factors, self.value(now, x))?;
                now.changed(x);
            }
            Step::KvWrite { slot, k, v } => self.kv_write(recorder, batch, index, slot, [k, v])?,
            Step::Attention { slot, q, out, ref spec } => {
                self.attention(recorder, batch, index, slot, [q, out], spec)?;
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
                    now.changed(x);
                }
            }
            ref other => return Err(gpu.call("engine", format!("there is no kernel for the step {other:?}"))),
        }
        Ok(())
    }

    fn norm_rope(
        &self,
        recorder: &mut Recorder<'_>,
        norm: usize,
        rope: usize,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let (Step::RmsNorm { weight, eps, .. }, Step::Rope { x, head_dim, rope }) =
            (&self.plan.steps[norm], &self.plan.steps[rope])
        else {
            return Err(gpu.call("engine", format!("steps {norm} and {rope} are not a norm and a rotation")));
        };
        let norm = ops::HeadNorm { weight: self.weights.vector(gpu, *weight)?.bind(), eps: *eps };
        let factors = self.batch.factors[*rope].bind();
        self.rope(*x, *head_dim, *rope, now).record_normed(recorder, factors, &norm, self.value(now, *x))?;
        now.changed(*x);
        Ok(())
    }

    fn rope(&self, x: ValueId, head_dim: usize, rope: usize, now: &Recording) -> ops::Rope {
        let table = &self.plan.ropes[rope];
        let (head_dim, pairs) = (head_dim as u32, table.inv_freq.len() as u32);
        let heads = self.width(x) / head_dim.max(1);
        ops::Rope { tokens: now.rows as u32, heads, head_dim, pairs, style: table.style }
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
        step: usize,
        slot: usize,
        [q, out]: [ValueId; 2],
        spec: &AttentionSpec,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        for (index, run) in batch.runs.iter().enumerate() {
            let pool = self.pool(gpu, run)?;
            let layer = pool.layer(slot);
            let missing = || gpu.call("engine", "attention has no scratch");
            let way = self.ways.get(index).and_then(|of_run| *of_run.get(step)?).ok_or_else(missing)?;
            let scratch = self.scratches.of(layer, &way).ok_or_else(missing)?;
            let rows = |id: ValueId| {
                let width = self.plan.width(id);
                self.values[id.0 as usize].bind_range(run.tokens.start * width..run.tokens.end * width)
            };
            let [k, v] = pool.sides(slot);
            let job = AttentionDecode {
                layer,
                n_heads: spec.n_heads as u32,
                known: &run.sequences,
                sequences: self.batch.sequences.bind_range(run.sequence_at..run.sequence_at + run.sequences.len()),
                tables: self.batch.tables.bind(),
                query: rows(q),
                k,
                v,
                scale: spec.scale,
                window: window(spec),
                soft_cap: spec.soft_cap,
                sinks: spec.sinks.map(|id| self.weights.vector(gpu, id)).transpose()?.map(|sinks| sinks.bind()),
                key_bias: self.key_biases.of(slot),
                scratch,
                faults: self.faults.queries(),
                out: rows(out),
            };
            way.record(recorder, job)?;
        }
        Ok(())
    }
}

impl Recording {
    /// Codes of a value that has changed are those of another.
    pub(super) fn changed(&mut self, id: ValueId) {
        if self.coded.is_some_and(|(coded, _)| coded == id) {
            self.coded = None;
        }
        self.normed = self.normed.filter(|normed| normed.out != id);
        if let Some(normed) = &mut self.normed {
            normed.past |= normed.x == id;
        }
    }
}

/// The window of an attention step, as kernels take it.
pub(super) fn window(spec: &AttentionSpec) -> Option<u32> {
    spec.window.map(|window| u32::try_from(window).unwrap_or(u32::MAX))
}
