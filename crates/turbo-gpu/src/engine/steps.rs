//! Every step of a plan as dispatches.

use turbo_backend::plan::{Step, ValueId};

use super::GpuEngine;
use super::batch::Batch;
use super::fuse::Op;
use super::heads::TurnSteps;
use super::products::{Form, Normed};
use crate::buffer::Bind;
use crate::error::GpuError;
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
                Op::NormRope { norm, rope } => {
                    self.turn_in_place(recorder, TurnSteps { norm: Some(norm), rope }, &mut now)?;
                }
                Op::Heads(ref steps) => self.heads(recorder, batch, steps, &mut now)?,
                Op::AttentionCodes(index) => self.attention(recorder, batch, (index, true), false, &mut now)?,
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
                    now.changed(x);
                }
            }
            ref other => return Err(gpu.call("engine", format!("there is no kernel for the step {other:?}"))),
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
