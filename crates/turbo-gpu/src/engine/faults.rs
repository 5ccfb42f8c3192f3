//! What kernels report about keys, values and queries that cannot be used.

use turbo_backend::plan::{Plan, Step};
use turbo_backend::{BackendError, KvSide};

use super::batch::Batch;
use super::{GpuEngine, backend_error};
use crate::buffer::{Bind, Buffer, ReadBack};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::kv::kv_encode::KvFault;
use crate::recorder::Recorder;

/// Words that kernels write to when something is wrong; zero until then.
pub(super) struct Faults {
    /// A word for every step that stores K and V.
    kv: Buffer<u32>,
    /// A word for every query head of a batch.
    queries: Buffer<u32>,
    /// Query heads of a token.
    heads: usize,
}

impl Faults {
    pub(super) fn new(gpu: &Gpu, plan: &Plan, max_batch: usize) -> Result<Self, GpuError> {
        let heads = plan.most_heads().max(1);
        Ok(Self {
            heads,
            kv: gpu.buffer("K/V faults", plan.steps.len())?,
            queries: gpu.buffer("query faults", max_batch * heads)?,
        })
    }

    /// Where storing K and V reports; the word of a step is the one of its index.
    pub(super) fn kv(&self) -> Bind<'_> {
        self.kv.bind()
    }

    /// Where attention reports.
    pub(super) fn queries(&self) -> Bind<'_> {
        self.queries.bind()
    }

    /// Words that a batch of so many tokens leaves to be read.
    pub(super) fn words(&self, tokens: usize) -> usize {
        self.kv.len() + tokens * self.heads
    }

    /// Copies those words to the start of `to`.
    pub(super) fn copy_out(
        &self,
        recorder: &mut Recorder<'_>,
        tokens: usize,
        to: &ReadBack<u32>,
    ) -> Result<(), GpuError> {
        recorder.copy_words(&self.kv, 0..self.kv.len(), to, 0)?;
        recorder.copy_words(&self.queries, 0..tokens * self.heads, to, self.kv.len())
    }

    fn clear(&self, gpu: &Gpu) -> Result<(), GpuError> {
        gpu.write(&self.kv, 0, &vec![0; self.kv.len()])?;
        gpu.write(&self.queries, 0, &vec![0; self.queries.len()])
    }
}

impl GpuEngine {
    /// Looks at the words that `batch` has left; clears them if there was something.
    pub(super) fn check_faults(&mut self, batch: &Batch, words: &[u32]) -> Result<(), BackendError> {
        let (kv, queries) = words.split_at(self.faults.kv.len().min(words.len()));
        let kv_fault = kv.iter().enumerate().find_map(|(step, &word)| Some((step, KvFault::from_word(word)?)));
        let query = queries.iter().position(|&word| word != 0);
        if kv_fault.is_none() && query.is_none() {
            return Ok(());
        }
        let gpu = self.gpu.clone();
        let fail = |error| backend_error(&gpu, error);
        self.faults.clear(&gpu).map_err(fail)?;
        let position = |token: usize| batch.positions.get(token).map_or(0, |&p| p as usize);
        let layer = |step| self.plan.layer_of(step).unwrap_or(0);
        if let Some((step, fault)) = kv_fault {
            return Err(BackendError::KvFault {
                layer: layer(step),
                position: position(fault.token as usize),
                side: if fault.side == KvSide::K { "K" } else { "V" },
                problem: fault.fault.to_string(),
            });
        }
        // The words of queries do not tell layers apart.
        let (step, row) = self.first_query_fault(batch).map_err(fail)?.unwrap_or((0, query.unwrap_or(0)));
        let heads = match self.plan.steps.get(step) {
            Some(Step::Attention { spec, .. }) => spec.n_heads,
            _ => self.plan.most_heads(),
        };
        Err(BackendError::KvFault {
            layer: self.plan.layer_of(step).unwrap_or(0),
            position: position(row / heads.max(1)),
            side: "Q",
            problem: format!("of head {} holds inf or nan", row % heads.max(1)),
        })
    }

    /// The first attention step whose queries cannot be used and the first row of them, by running the steps before it
    /// again, with half as many candidates each time. Time does not matter here: the batch has failed.
    fn first_query_fault(&mut self, batch: &Batch) -> Result<Option<(usize, usize)>, GpuError> {
        let candidates: Vec<(usize, usize)> =
            self.ops.iter().enumerate().filter_map(|(at, op)| Some((at, op.attention(&self.plan)?.0))).collect();
        let (mut first, mut last) = (0, candidates.len());
        let mut found = None;
        while first < last {
            let middle = first + (last - first) / 2;
            let (at, step) = candidates[middle];
            match self.query_fault_up_to(batch, at + 1)? {
                Some(row) => (found, last) = (Some((step, row)), middle),
                None => first = middle + 1,
            }
        }
        Ok(found)
    }

    /// Runs the first `count` operations; the first row of queries that cannot be used. Leaves the words clear.
    fn query_fault_up_to(&mut self, batch: &Batch, count: usize) -> Result<Option<usize>, GpuError> {
        let gpu = self.gpu.clone();
        self.prepare(batch)?;
        let rest = self.ops.split_off(count);
        let mut recorder = gpu.recorder("faults");
        // What is chosen now was chosen from garbage, and is not looked at.
        let recorded = self.record(&mut recorder, batch);
        self.ops.extend(rest);
        recorded?;
        recorder.submit()?;
        let rows = gpu.download(&self.faults.queries, 0..batch.tokens.len() * self.faults.heads)?;
        self.faults.clear(&gpu)?;
        Ok(rows.iter().position(|&word| word != 0))
    }
}
