//! From the products q, k and v to the result of attention: norms, rotations, the cache, attention.

use turbo_backend::KvLayer;
use turbo_backend::plan::{AttentionSpec, RopeTable, Step, ValueId};
use turbo_wgsl::Variant;

use super::batch::{Batch, Run};
use super::steps::{Form, Recording};
use super::{GpuEngine, Pool};
use crate::attention::decode::{Around, AttentionDecode};
use crate::attention::job::Way;
use crate::attention::queries::{self, RopedQueries};
use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kv::HeadSizes;
use crate::kv::cache::Rows;
use crate::kv::kv_encode::{KvEncode, NewHeads};
use crate::kv::kv_encode_roped::{self, KvEncodeRoped};
use crate::ops;
use crate::recorder::Recorder;
use crate::turn::Turn;

/// What a batch lacks whose attention was not reserved.
const NO_WAY: &str = "attention has no scratch";

/// A rotation of a plan and the norm before it, by their steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TurnSteps {
    pub(super) norm: Option<usize>,
    pub(super) rope: usize,
}

/// The steps from the products q, k and v to attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadSteps {
    pub(super) q: TurnSteps,
    pub(super) k: TurnSteps,
    /// The step that stores K and V; the next one is attention.
    pub(super) write: usize,
    /// Whether only quantised products read the result.
    pub(super) coded: bool,
}

impl HeadSteps {
    pub(super) fn attention(&self) -> usize {
        self.write + 1
    }
}

/// Kernels that take heads straight from their products.
#[derive(Clone, Copy, Debug)]
pub(super) struct Straight {
    /// Stores K, and V too if they are of one type.
    keys: &'static Variant,
    /// Makes codes of the queries, for coded keys.
    queries: Option<&'static Variant>,
}

/// How an attention step and those before it are done.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadsWay {
    pub(super) way: Way,
    pub(super) straight: Option<Straight>,
}

impl Straight {
    /// The kernels for heads of `layer` that are turned like this, if there are any.
    pub(super) fn find(gpu: &Gpu, layer: &KvLayer, rope: &RopeTable) -> Result<Option<Self>, GpuError> {
        let turn = (layer.k.head_dim, rope.inv_freq.len(), rope.style);
        let one_type = layer.k.kv_type == layer.v.kv_type;
        if one_type && !layer.v.head_dim.is_multiple_of(4) {
            return Ok(None);
        }
        let sides = if one_type { &[layer.k.head_dim, layer.v.head_dim][..] } else { &[layer.k.head_dim] };
        let sizes = HeadSizes::of(sides.iter().copied());
        let Some(keys) = kv_encode_roped::variant(gpu, layer.k.kv_type, sizes, turn)? else { return Ok(None) };
        Ok(Some(Self { keys, queries: queries::roped_variant(gpu, layer.k.kv_type, turn)? }))
    }
}

impl GpuEngine {
    /// Records the steps of `steps` one by one, or joined where there are kernels for it.
    pub(super) fn heads(
        &self,
        recorder: &mut Recorder<'_>,
        batch: &Batch,
        steps: &HeadSteps,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let attention = steps.attention();
        let kinds = || (0..batch.runs.len()).map(|run| self.way(run, attention).and_then(|way| way.straight));
        let coded = |kind: Option<Straight>| kind.map(|kernels| kernels.queries.is_some());
        let first = coded(kinds().next().flatten());
        // Queries are turned in place for all runs or for none.
        if first.is_none() || kinds().any(|kind| coded(kind) != first) {
            self.turn_in_place(recorder, steps.q, now)?;
            self.turn_in_place(recorder, steps.k, now)?;
            self.kv_write(recorder, batch, steps.write)?;
            return self.attention(recorder, batch, (attention, steps.coded), false, now);
        }
        for (index, run) in batch.runs.iter().enumerate() {
            if let Some(HeadsWay { way, straight: Some(kernels) }) = self.way(index, attention) {
                self.straight_to_cache(recorder, run, steps, (way, kernels))?;
            }
        }
        if first == Some(false) {
            self.turn_in_place(recorder, steps.q, now)?;
        }
        self.attention(recorder, batch, (attention, steps.coded), true, now)
    }

    /// Stores K and V of a run and, for coded keys, makes codes of its queries: dispatches that wait for no other.
    fn straight_to_cache(
        &self,
        recorder: &mut Recorder<'_>,
        run: &Run,
        steps: &HeadSteps,
        (way, kernels): (&Way, &Straight),
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let encode = self.encode_of(gpu, run, steps.write)?;
        let turn = self.turn(gpu, steps.k, run)?;
        let one_type = |v: &NewHeads<'_>| encode.k.is_some_and(|k| k.layout.kv_type == v.layout.kv_type);
        let keys = KvEncode { v: encode.v.filter(one_type), ..encode };
        KvEncodeRoped { encode: keys, turn }.record_with(recorder, kernels.keys)?;
        if keys.v.is_none() {
            KvEncode { k: None, ..encode }.record(recorder)?;
        }
        let (Some(variant), Step::Attention { slot, q, spec, .. }) =
            (kernels.queries, &self.plan.steps[steps.attention()])
        else {
            return Ok(());
        };
        let layer = self.pool(gpu, run)?.layer(*slot);
        let call = RopedQueries {
            layer,
            n_heads: spec.n_heads as u32,
            tokens: run.tokens.len() as u32,
            query: self.rows_of(run, *q),
            turn: self.turn(gpu, steps.q, run)?,
            scale: spec.scale,
            scratch: self.scratches.of(layer, way).ok_or_else(|| gpu.call("engine", NO_WAY))?,
            faults: self.faults.queries(),
        };
        call.record_with(recorder, variant)
    }

    /// What is done to the heads of a run.
    fn turn(&self, gpu: &Gpu, steps: TurnSteps, run: &Run) -> Result<Turn<'_>, GpuError> {
        let Step::Rope { rope, .. } = self.plan.steps[steps.rope] else {
            return Err(gpu.call("engine", format!("step {} is no rotation", steps.rope)));
        };
        let table = &self.plan.ropes[rope];
        Ok(Turn {
            norm: self.head_norm(gpu, steps.norm)?,
            pairs: table.inv_freq.len() as u32,
            style: table.style,
            factors: self.batch.factors[rope].bind(),
            first_token: run.tokens.start as u32,
        })
    }

    fn head_norm(&self, gpu: &Gpu, step: Option<usize>) -> Result<Option<ops::HeadNorm<'_>>, GpuError> {
        let Some(Step::RmsNorm { weight, eps, .. }) = step.map(|step| &self.plan.steps[step]) else { return Ok(None) };
        Ok(Some(ops::HeadNorm { weight: self.weights.vector(gpu, *weight)?.bind(), eps: *eps }))
    }

    /// Norms heads, if there is a norm, and rotates them, in place.
    pub(super) fn turn_in_place(
        &self,
        recorder: &mut Recorder<'_>,
        steps: TurnSteps,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let Step::Rope { x, head_dim, rope } = self.plan.steps[steps.rope] else {
            return Err(gpu.call("engine", format!("step {} is no rotation", steps.rope)));
        };
        let table = &self.plan.ropes[rope];
        let (head_dim, pairs) = (head_dim as u32, table.inv_freq.len() as u32);
        let heads = self.width(x) / head_dim.max(1);
        let call = ops::Rope { tokens: now.rows as u32, heads, head_dim, pairs, style: table.style };
        let (factors, values) = (self.batch.factors[rope].bind(), self.value(now, x));
        match self.head_norm(gpu, steps.norm)? {
            Some(norm) => call.record_normed(recorder, factors, &norm, values)?,
            None => call.record(recorder, factors, values)?,
        }
        now.changed(x);
        Ok(())
    }

    fn pool(&self, gpu: &Gpu, run: &Run) -> Result<&Pool, GpuError> {
        self.pools.get(&run.pool).ok_or_else(|| gpu.call("engine", "a pool was freed while in use"))
    }

    /// How attention step `step` is done for the run of this number.
    fn way(&self, run: usize, step: usize) -> Option<&HeadsWay> {
        self.ways.get(run)?.get(step)?.as_ref()
    }

    /// The rows of a run of a value.
    fn rows_of(&self, run: &Run, id: ValueId) -> Bind<'_> {
        let width = self.plan.width(id);
        self.values[id.0 as usize].bind_range(run.tokens.start * width..run.tokens.end * width)
    }

    /// The call that stores K and V of a run, as they are.
    fn encode_of(&self, gpu: &Gpu, run: &Run, step: usize) -> Result<KvEncode<'_>, GpuError> {
        let Step::KvWrite { slot, k, v } = self.plan.steps[step] else {
            return Err(gpu.call("engine", format!("step {step} stores nothing")));
        };
        let pool = self.pool(gpu, run)?;
        let layer = pool.layer(slot);
        let heads = |id: ValueId, layout, offset| {
            let (row, first) = (self.width(id), run.tokens.start as u32 * self.width(id));
            let rows = Rows { bind: self.values[id.0 as usize].bind(), first, row };
            Some(NewHeads { rows, layout, offset })
        };
        Ok(KvEncode {
            k: heads(k, layer.k, 0),
            v: heads(v, layer.v, layer.k.block_words() as u32),
            tokens: run.tokens.len() as u32,
            slots: self.batch.slots.bind_range(run.slot_at..run.slot_at + run.tokens.len()),
            pool: pool.part(slot),
            faults: self.faults.kv(),
            fault: step as u32,
        })
    }

    pub(super) fn kv_write(&self, recorder: &mut Recorder<'_>, batch: &Batch, step: usize) -> Result<(), GpuError> {
        batch.runs.iter().try_for_each(|run| self.encode_of(recorder.gpu(), run, step)?.record(recorder))
    }

    /// Attention step `step`; `coded` says that only quantised products read the result, `ready` that its queries have
    /// been made ready.
    pub(super) fn attention(
        &self,
        recorder: &mut Recorder<'_>,
        batch: &Batch,
        (step, coded): (usize, bool),
        ready: bool,
        now: &mut Recording,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let Step::Attention { out, .. } = self.plan.steps[step] else {
            return Err(gpu.call("engine", format!("step {step} is no attention")));
        };
        now.changed(out);
        let wide = self.codes_are_wide(step, out);
        let few = self.halves.is_none() || now.rows <= self.few.codes as usize;
        // Codes of a batch lie after each other: one dispatch makes them.
        let makes_codes = |way: &HeadsWay| way.way.makes_codes() && batch.runs.len() == 1;
        let coded = coded && few && self.way(0, step).is_some_and(makes_codes);
        let around = Around { queries: ready, codes: coded.then(|| self.codes.part(wide)) };
        for (index, run) in batch.runs.iter().enumerate() {
            let way = self.way(index, step).ok_or_else(|| gpu.call("engine", NO_WAY))?;
            way.way.record(recorder, self.attention_of(gpu, run, step, &way.way)?, &around)?;
        }
        if coded {
            now.coded = Some((out, Form::Codes(wide)));
        }
        Ok(())
    }

    fn attention_of<'a>(
        &'a self,
        gpu: &Gpu,
        run: &'a Run,
        step: usize,
        way: &Way,
    ) -> Result<AttentionDecode<'a>, GpuError> {
        let Step::Attention { slot, q, out, ref spec } = self.plan.steps[step] else {
            return Err(gpu.call("engine", format!("step {step} is no attention")));
        };
        let pool = self.pool(gpu, run)?;
        let layer = pool.layer(slot);
        let [k, v] = pool.sides(slot);
        Ok(AttentionDecode {
            layer,
            n_heads: spec.n_heads as u32,
            known: &run.sequences,
            sequences: self.batch.sequences.bind_range(run.sequence_at..run.sequence_at + run.sequences.len()),
            tables: self.batch.tables.bind(),
            query: self.rows_of(run, q),
            k,
            v,
            scale: spec.scale,
            window: window(spec),
            soft_cap: spec.soft_cap,
            sinks: spec.sinks.map(|id| self.weights.vector(gpu, id)).transpose()?.map(|sinks| sinks.bind()),
            key_bias: self.key_biases.of(slot),
            scratch: self.scratches.of(layer, way).ok_or_else(|| gpu.call("engine", NO_WAY))?,
            faults: self.faults.queries(),
            out: self.rows_of(run, out),
        })
    }
}

/// The window of an attention step, as kernels take it.
pub(super) fn window(spec: &AttentionSpec) -> Option<u32> {
    spec.window.map(|window| u32::try_from(window).unwrap_or(u32::MAX))
}
