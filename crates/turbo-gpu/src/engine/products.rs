//! Products of weights, and what is done together with them.

use turbo_backend::plan::{Step, ValueId, WeightId};

use super::GpuEngine;
use super::batch::Batch;
use super::fuse::Op;
use super::steps::Recording;
use crate::error::GpuError;
use crate::matmul::{CodesInput, Gated, Input, Joined, MOST_FUSED_TOKENS, MatVec, Residual, Tiles, TilesInput};
use crate::recorder::Recorder;

/// What products take in place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Codes, wide or not.
    Codes(bool),
    Halves,
}

/// A norm as codes that lack its factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Normed {
    /// The step.
    pub(super) index: usize,
    /// What is normed.
    pub(super) x: ValueId,
    /// What its readers know it as.
    pub(super) out: ValueId,
    pub(super) eps: f32,
    pub(super) wide: bool,
    /// Whether `x` has changed since.
    pub(super) past: bool,
}

impl GpuEngine {
    /// Records an operation that has products in it or makes codes for them.
    pub(super) fn products(
        &self,
        recorder: &mut Recorder<'_>,
        batch: &Batch,
        op: &Op,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        // Together they take few tokens, and codes of 8 bits where there are several; what comes out as codes goes to
        // another place than what goes in.
        let few = now.rows <= MOST_FUSED_TOKENS as usize;
        let normed = |index: usize| now.normed.is_some_and(|normed| self.plan.steps[index].reads(normed.out));
        match *op {
            // Halves are made of the value itself.
            Op::NormCodes(index) | Op::GatedCodes(index)
                if self.halves.is_some() && now.rows > self.few.codes as usize =>
            {
                self.step(recorder, batch, index, now)
            }
            Op::NormCodes(index) => self.norm_codes(recorder, index, now),
            Op::GatedCodes(index) => self.gated_codes(recorder, index, now),
            Op::ProductAdd { product, to, norm: Some(norm) } if few && !normed(product) => {
                self.residual(recorder, product, to, norm, now)
            }
            Op::ProductAdd { product, to, .. } => self.product(recorder, product, Some(to), now),
            Op::Joined { first, count } if few && !self.wide[first] => self.joined(recorder, first, count, now),
            Op::Joined { first, count } => {
                (first..first + count).try_for_each(|index| self.product(recorder, index, None, now))
            }
            Op::Gated { products, act } if few && normed(products[0]) && !self.wide[products[0]] => {
                self.gated(recorder, products, act, now)
            }
            Op::Gated { products: [gate, up], act } => {
                self.product(recorder, gate, None, now)?;
                self.product(recorder, up, None, now)?;
                self.products(recorder, batch, &Op::GatedCodes(act), now)
            }
            Op::Step(_) | Op::NormRope { .. } => Err(recorder.gpu().call("engine", format!("{op:?} has no product"))),
        }
    }

    /// The codes of a norm, unless the product before it has made them.
    fn norm_codes(&self, recorder: &mut Recorder<'_>, index: usize, now: &mut Recording) -> Result<(), GpuError> {
        if now.normed.is_some_and(|normed| normed.index == index && !normed.past) {
            return Ok(());
        }
        let (normed, weight) = self.normed(recorder, index)?;
        let binds = (self.value(now, normed.x), self.weights.vector(recorder.gpu(), weight)?.bind());
        let shape = (now.rows as u32, self.width(normed.x));
        self.normed_codes.record_normed(recorder, binds, shape, normed.wide)?;
        now.changed(normed.out);
        now.normed = Some(normed);
        Ok(())
    }

    /// The norm of step `index`, and its weight.
    fn normed(&self, recorder: &Recorder<'_>, index: usize) -> Result<(Normed, WeightId), GpuError> {
        match self.plan.steps[index] {
            Step::RmsNorm { x, weight, out, eps } => {
                let wide = self.codes_are_wide(index, out);
                Ok((Normed { index, x, out, eps, wide, past: false }, weight))
            }
            ref other => Err(recorder.gpu().call("engine", format!("{other:?} is no norm"))),
        }
    }

    fn gated_codes(&self, recorder: &mut Recorder<'_>, index: usize, now: &mut Recording) -> Result<(), GpuError> {
        let Step::GatedAct { gate, up, activation } = self.plan.steps[index] else {
            return Err(recorder.gpu().call("engine", format!("step {index} is no gated activation")));
        };
        let wide = self.codes_are_wide(index, gate);
        let binds = (self.value(now, gate), self.value(now, up));
        self.codes.record_gated(recorder, activation, binds, now.rows * self.plan.width(gate), wide)?;
        now.changed(gate);
        now.coded = Some((gate, Form::Codes(wide)));
        Ok(())
    }

    /// Whether the products that read `value` after step `index` want 16 bits; they all do or none.
    fn codes_are_wide(&self, index: usize, value: ValueId) -> bool {
        let reader = self.plan.steps[index + 1..].iter().position(|step| step.reads(value));
        reader.is_some_and(|after| self.wide[index + 1 + after])
    }

    /// The codes of `x`, input of product `index`; they are made if they are not there.
    fn input(
        &self,
        recorder: &mut Recorder<'_>,
        index: usize,
        x: ValueId,
        now: &mut Recording,
    ) -> Result<CodesInput<'_>, GpuError> {
        let wide = self.wide[index];
        if let Some(normed) = now.normed.filter(|normed| normed.out == x && normed.wide == wide) {
            return Ok(self.normed_codes.input(wide).normed(normed.eps));
        }
        if now.coded != Some((x, Form::Codes(wide))) {
            self.codes.record(recorder, self.value(now, x), now.rows * self.plan.width(x), wide)?;
            now.coded = Some((x, Form::Codes(wide)));
        }
        Ok(self.codes.input(wide))
    }

    /// A product; its result is added to `added` if there is one.
    pub(super) fn product(
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
        let tokens = now.rows as u32;
        let to = added.unwrap_or(out);
        let (add, out_row) = (added.is_some(), self.width(to));
        let bias = bias.map(|id| self.weights.vector(gpu, id)).transpose()?.map(|vector| vector.bind());
        let many = tokens > self.few.for_matrix(matrix);
        let input = match self.halves.as_ref().filter(|_| many) {
            Some(halves) => {
                if now.coded != Some((x, Form::Halves)) {
                    halves.record(recorder, self.value(now, x), (now.rows, self.plan.width(x)))?;
                    now.coded = Some((x, Form::Halves));
                }
                TilesInput::Halves(halves)
            }
            None if matrix.is_quantised() => TilesInput::Codes(self.input(recorder, index, x, now)?),
            None => TilesInput::Float(self.value(now, x)),
        };
        let out = self.value(now, to);
        match (many, input) {
            (false, TilesInput::Codes(codes)) => {
                let input = Input::Codes(codes);
                MatVec { matrix, input, tokens, bias, add, out, out_row }.record(recorder)?;
            }
            (false, TilesInput::Float(x)) => {
                let input = Input::Float(x);
                MatVec { matrix, input, tokens, bias, add, out, out_row }.record(recorder)?;
            }
            _ => Tiles { matrix, input, tokens, bias, add, out, out_row }.record(recorder)?,
        }
        now.changed(to);
        Ok(())
    }

    /// Products of the same value, next to each other.
    fn joined(
        &self,
        recorder: &mut Recorder<'_>,
        first: usize,
        count: usize,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let (mut products, mut outs, mut from) = (Vec::with_capacity(count), Vec::with_capacity(count), None);
        for step in &self.plan.steps[first..first + count] {
            let Step::MatMul { x, weight, out, .. } = *step else {
                return Err(gpu.call("engine", format!("{step:?} is no product")));
            };
            products.push((self.weights.matrix(gpu, weight)?, self.value(now, out)));
            outs.push(out);
            from = Some(x);
        }
        let Some(x) = from else { return Ok(()) };
        let input = self.input(recorder, first, x, now)?;
        Joined { products: &products, input, tokens: now.rows as u32 }.record(recorder)?;
        outs.into_iter().for_each(|out| now.changed(out));
        Ok(())
    }

    /// A product that is added to `to`, and the codes of the norm `norm` of that.
    fn residual(
        &self,
        recorder: &mut Recorder<'_>,
        product: usize,
        to: ValueId,
        norm: usize,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let Step::MatMul { x, weight, .. } = self.plan.steps[product] else {
            return Err(recorder.gpu().call("engine", format!("step {product} is no product")));
        };
        let gpu = recorder.gpu();
        let (normed, factors) = self.normed(recorder, norm)?;
        let input = self.input(recorder, product, x, now)?;
        Residual {
            matrix: self.weights.matrix(gpu, weight)?,
            input,
            tokens: now.rows as u32,
            x: self.value(now, to),
            weight: self.weights.vector(gpu, factors)?.bind(),
            next: &self.normed_codes,
            next_wide: normed.wide,
        }
        .record(recorder)?;
        now.changed(to);
        now.changed(normed.out);
        now.normed = Some(normed);
        Ok(())
    }

    /// Gate and up and what becomes of them.
    fn gated(
        &self,
        recorder: &mut Recorder<'_>,
        [gate, up]: [usize; 2],
        act: usize,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let steps = &self.plan.steps;
        let (
            &Step::MatMul { x, weight: gate_weight, .. },
            &Step::MatMul { weight: up_weight, .. },
            &Step::GatedAct { gate: value, activation, .. },
        ) = (&steps[gate], &steps[up], &steps[act])
        else {
            return Err(gpu.call("engine", format!("steps {gate}, {up} and {act} are no gated products")));
        };
        let input = self.input(recorder, gate, x, now)?;
        let next_wide = self.codes_are_wide(act, value);
        Gated {
            gate: self.weights.matrix(gpu, gate_weight)?,
            up: self.weights.matrix(gpu, up_weight)?,
            activation,
            input,
            tokens: now.rows as u32,
            next: &self.codes,
            next_wide,
        }
        .record(recorder)?;
        now.changed(value);
        now.coded = Some((value, Form::Codes(next_wide)));
        Ok(())
    }
}
