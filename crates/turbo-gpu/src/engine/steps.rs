//! Every step of a plan as dispatches.

use turbo_backend::plan::{AttentionSpec, Step, ValueId};

use super::batch::{Batch, Run};
use super::fuse::Op;
use super::{GpuEngine, Pool};
use crate::attention::decode::AttentionDecode;
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kv::cache::Rows;
use crate::kv::kv_encode::{KvEncode, NewHeads};
use crate::matmul::{Input, MatVec, Tiles, TilesInput};
use crate::ops;
use crate::recorder::Recorder;

/// Steps after which the device is first given something to do, and from then on.
const FIRST_FLUSH: usize = 24;
const FLUSH: usize = 128;

/// State of a recording.
struct Recording {
    /// Rows that steps work on now.
    rows: usize,
    /// The value that the codes or halves stand for.
    coded: Option<(ValueId, Form)>,
    /// The value that lies in the buffer of selected rows.
    selected: Option<ValueId>,
}

/// What products take in place of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Codes, wide or not.
    Codes(bool),
    Halves,
}

impl GpuEngine {
    /// Records all steps, then the choices.
    pub(super) fn record(&self, recorder: &mut Recorder<'_>, batch: &Batch) -> Result<(), GpuError> {
        let mut now = Recording { rows: batch.tokens.len(), coded: None, selected: None };
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
                Op::ProductAdd { product, to } => self.product(recorder, product, Some(to), &mut now)?,
                Op::NormRope { norm, rope } => self.norm_rope(recorder, norm, rope, &mut now)?,
                // Halves are made of the value itself.
                Op::NormCodes(index) | Op::GatedCodes(index)
                    if self.halves.is_some() && now.rows > self.few.codes as usize =>
                {
                    self.step(recorder, batch, index, &mut now)?;
                }
                Op::NormCodes(index) | Op::GatedCodes(index) => self.codes(recorder, index, &mut now)?,
            }
        }
        let logits = self.values[self.plan.logits.0 as usize].bind();
        self.choices.record(recorder, logits, batch.rows_for_host(), &batch.choices)
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
                }
                now.changed(x);
            }
            ref other => return Err(gpu.call("engine", format!("there is no kernel for the step {other:?}"))),
        }
        Ok(())
    }

    /// A step whose results are wanted as codes only.
    fn codes(&self, recorder: &mut Recorder<'_>, index: usize, now: &mut Recording) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let value = match self.plan.steps[index] {
            Step::RmsNorm { x, weight, out, eps } => {
                let (wide, factors) = (self.codes_are_wide(index, out), self.weights.vector(gpu, weight)?);
                let (binds, shape) = ((self.value(now, x), factors.bind()), (now.rows as u32, self.width(x)));
                self.codes.record_normed(recorder, binds, shape, eps, wide)?;
                (out, Form::Codes(wide))
            }
            Step::GatedAct { gate, up, activation } => {
                let wide = self.codes_are_wide(index, gate);
                let binds = (self.value(now, gate), self.value(now, up));
                self.codes.record_gated(recorder, activation, binds, now.rows * self.plan.width(gate), wide)?;
                (gate, Form::Codes(wide))
            }
            ref other => return Err(gpu.call("engine", format!("{other:?} makes no codes"))),
        };
        now.coded = Some(value);
        Ok(())
    }

    /// Whether the products that read `value` after step `index` want 16 bits; they all do or none.
    fn codes_are_wide(&self, index: usize, value: ValueId) -> bool {
        let reader = self.plan.steps[index + 1..].iter().position(|step| step.reads(value));
        reader.is_some_and(|after| self.wide[index + 1 + after])
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

    /// A product; its result is added to `added` if there is one.
    fn product(
        &self,
        recorder: &mut Recorder<'_>,
        index: usize,
        added: Option<ValueId>,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let Step::MatMul { x, weight, bias, out } = self.plan.steps[index] else {
            return Err(recorder.gpu().call("engine", format!("step {index} is no product")));
        };
        let gpu = recorder.gpu();
        let matrix = self.weights.matrix(gpu, weight)?;
        let (tokens, value) = (now.rows as u32, self.value(now, x));
        let to = added.unwrap_or(out);
        let (add, out_row) = (added.is_some(), self.width(to));
        let bias = bias.map(|id| self.weights.vector(gpu, id)).transpose()?.map(|vector| vector.bind());
        let out = self.value(now, to);
        let many = tokens > self.few.for_matrix(matrix);
        let halves = self.halves.as_ref().filter(|_| many);
        let wanted = match halves {
            Some(_) => Some(Form::Halves),
            None => matrix.is_quantised().then_some(Form::Codes(self.wide[index])),
        };
        if let Some(form) = wanted.filter(|&form| now.coded != Some((x, form))) {
            match (form, halves) {
                (Form::Codes(wide), _) => self.codes.record(recorder, value, now.rows * self.plan.width(x), wide)?,
                (Form::Halves, Some(halves)) => halves.record(recorder, value, (now.rows, self.plan.width(x)))?,
                (Form::Halves, None) => return Err(gpu.call("engine", "there is no room for halves")),
            }
            now.coded = Some((x, form));
        }
        let input = match wanted {
            Some(Form::Codes(wide)) => Input::Codes(&self.codes, wide),
            _ => Input::Float(value),
        };
        if many {
            let input = halves.map_or_else(|| input.into(), TilesInput::Halves);
            Tiles { matrix, input, tokens, bias, add, out, out_row }.record(recorder)?;
        } else {
            MatVec { matrix, input, tokens, bias, add, out, out_row }.record(recorder)?;
        }
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
    fn changed(&mut self, id: ValueId) {
        if self.coded.is_some_and(|(coded, _)| coded == id) {
            self.coded = None;
        }
    }
}

/// The window of an attention step, as kernels take it.
pub(super) fn window(spec: &AttentionSpec) -> Option<u32> {
    spec.window.map(|window| u32::try_from(window).unwrap_or(u32::MAX))
}
