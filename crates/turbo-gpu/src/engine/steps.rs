//! Every step of a plan as dispatches.

use turbo_backend::plan::{Step, ValueId};

use super::GpuEngine;
use super::batch::Batch;
use super::fuse::Op;
use super::heads::TurnSteps;
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::matmul::{Input, MatVec, Tiles, TilesInput};
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
    /// The value that lies in the buffer of selected rows.
    selected: Option<ValueId>,
}

/// What products take in place of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Codes, wide or not.
    Codes(bool),
    Halves,
}

impl GpuEngine {
    /// Records all steps.
    pub(super) fn record(&self, recorder: &mut Recorder<'_>, batch: &Batch) -> Result<(), GpuError> {
        let mut now = Recording { rows: batch.tokens.len(), coded: None, selected: None };
        for (count, op) in self.ops.iter().enumerate() {
            if now.rows == 0 {
                break;
            }
            // The device starts on a few steps while the host records the rest.
            if count == FIRST_FLUSH || count % FLUSH == FLUSH - 1 {
                recorder.flush()?;
            }
            match *op {
                Op::Step(index) => self.step(recorder, batch, index, &mut now)?,
                Op::ProductAdd { product, to } => self.product(recorder, product, Some(to), &mut now)?,
                Op::NormRope { norm, rope } => {
                    self.turn_in_place(recorder, TurnSteps { norm: Some(norm), rope }, &mut now)?;
                }
                // Halves are made of the value itself.
                Op::NormCodes(index) | Op::GatedCodes(index)
                    if self.halves.is_some() && now.rows > self.few.codes as usize =>
                {
                    self.step(recorder, batch, index, &mut now)?;
                }
                Op::NormCodes(index) | Op::GatedCodes(index) => self.codes(recorder, index, &mut now)?,
                Op::Heads(ref steps) => self.heads(recorder, batch, steps, &mut now)?,
                Op::AttentionCodes(index) => self.attention(recorder, batch, (index, true), false, &mut now)?,
            }
        }
        Ok(())
    }

    /// The rows of a value.
    pub(super) fn value(&self, now: &Recording, id: ValueId) -> Bind<'_> {
        if now.selected == Some(id) { self.selected.bind() } else { self.values[id.0 as usize].bind() }
    }

    pub(super) fn width(&self, id: ValueId) -> u32 {
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
            Step::MatMul { .. } => self.product(recorder, index, None, now)?,
            Step::Rope { .. } => self.turn_in_place(recorder, TurnSteps { norm: None, rope: index }, now)?,
            Step::KvWrite { .. } => self.kv_write(recorder, batch, index)?,
            Step::Attention { .. } => self.attention(recorder, batch, (index, false), false, now)?,
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
    pub(super) fn codes_are_wide(&self, index: usize, value: ValueId) -> bool {
        let reader = self.plan.steps[index + 1..].iter().position(|step| step.reads(value));
        reader.is_some_and(|after| self.wide[index + 1 + after])
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
}

impl Recording {
    /// Codes of a value that has changed are those of another.
    pub(super) fn changed(&mut self, id: ValueId) {
        if self.coded.is_some_and(|(coded, _)| coded == id) {
            self.coded = None;
        }
    }
}
