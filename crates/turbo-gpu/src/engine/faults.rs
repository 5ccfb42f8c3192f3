//! What kernels report about keys, values and queries that cannot be used.

use turbo_backend::plan::{Plan, Step};
use turbo_backend::{BackendError, KvSide};

use super::backend_error;
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

    /// Looks at what was copied; clears the words if there was something.
    ///
    /// # Errors
    /// The first fault, with the position of its token in `positions`.
    pub(super) fn check(&self, gpu: &Gpu, plan: &Plan, positions: &[u32], words: &[u32]) -> Result<(), BackendError> {
        let fail = |error| backend_error(gpu, error);
        let (kv, queries) = words.split_at(self.kv.len().min(words.len()));
        let kv_fault = kv.iter().enumerate().find_map(|(step, &word)| Some((step, KvFault::from_word(word)?)));
        let query = queries.iter().position(|&word| word != 0);
        if kv_fault.is_none() && query.is_none() {
            return Ok(());
        }
        gpu.write(&self.kv, 0, &vec![0; self.kv.len()]).map_err(fail)?;
        gpu.write(&self.queries, 0, &vec![0; self.queries.len()]).map_err(fail)?;
        let position = |token: usize| positions.get(token).map_or(0, |&p| p as usize);
        if let Some((step, fault)) = kv_fault {
            return Err(BackendError::KvFault {
                layer: plan.layer_of(step).unwrap_or(0),
                position: position(fault.token as usize),
                side: if fault.side == KvSide::K { "K" } else { "V" },
                problem: fault.fault.to_string(),
            });
        }
        // The words of queries do not tell layers apart; keys and values of the layer it began in were finite.
        let heads = plan.steps.iter().enumerate().find_map(|(index, step)| match step {
            Step::Attention { spec, .. } => Some((index, spec.n_heads)),
            _ => None,
        });
        let (step, n_heads) = heads.unwrap_or((0, 1));
        let row = query.unwrap_or(0);
        Err(BackendError::KvFault {
            layer: plan.layer_of(step).unwrap_or(0),
            position: position(row / n_heads),
            side: "Q",
            problem: format!("of head {} holds inf or nan, in this layer or a later one", row % n_heads),
        })
    }
}
