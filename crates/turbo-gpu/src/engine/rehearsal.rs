//! Batches that are recorded only to know their kernels, which are then compiled side by side before the first real one.

use turbo_backend::{BLOCK_TOKENS, BackendError, BatchItem, Choice, Engine, KvPoolSpec, KvTypes, LogitsFor, PoolId};

use super::batch::{Batch, Most};
use super::{GpuEngine, backend_error};
use crate::recorder::Listed;
use crate::tally;

/// Any choice: all take the same kernels.
const GREEDY: Choice = Choice { place: 0, top_k: 1, temperature: 1.0, top_p: 1.0, min_p: 0.0, unit: 0.0 };

impl GpuEngine {
    /// Whether kernels are compiled ahead: on processors that costs more than it gains, and where memory is only
    /// measured there is nothing to compile for.
    fn compiles_ahead(&self) -> bool {
        !self.gpu.description().is_software() && tally::measured().is_none()
    }

    /// Does `work`, and compiles meanwhile what the plan needs with an f16 cache.
    ///
    /// # Errors
    /// What `work` returns.
    pub(super) fn compile_meanwhile(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        let kernels = if self.compiles_ahead() { self.kernels_of_f16() } else { Listed::new() };
        let gpu = self.gpu.clone();
        gpu.compile_meanwhile(&kernels, || work(self))
    }

    /// The kernels with a small f16 cache; none where something is wrong, which is said when it is needed.
    fn kernels_of_f16(&mut self) -> Listed {
        let spec = KvPoolSpec::new(&self.plan.kv, KvTypes::default(), self.max_batch);
        let Some(Ok(pool)) = spec.ok().map(|spec| self.new_pool(&spec)) else { return Listed::new() };
        let kernels = self.rehearse(pool).unwrap_or_default();
        self.free_pool(pool);
        kernels
    }

    /// Compiles what batches with the cache `pool` need, all of it.
    ///
    /// # Errors
    /// Too little memory for the batches.
    pub(super) fn compile_for(&mut self, pool: PoolId) -> Result<(), BackendError> {
        if !self.compiles_ahead() {
            return Ok(());
        }
        let kernels = self.rehearse(pool)?;
        self.gpu.compile_all(&kernels);
        Ok(())
    }

    /// The kernels of a batch of one token and of the largest batch.
    fn rehearse(&mut self, pool: PoolId) -> Result<Listed, BackendError> {
        let gpu = self.gpu.clone();
        let fail = |error| backend_error(&gpu, error);
        let most = self.max_batch_tokens().min(self.pools.get(&pool).map_or(0, super::Pool::tokens));
        let blocks: Vec<u32> = (0..most.div_ceil(BLOCK_TOKENS) as u32).collect();
        let mut kernels = Listed::new();
        for n in [1, most] {
            let tokens = vec![0; n];
            let item =
                BatchItem { pool, blocks: &blocks, start: 0, tokens: &tokens, logits: LogitsFor::Choice(GREEDY) };
            let batch = Batch::new(&[item], Most { tokens: most, rows: 1 }, |_| Ok(()))?;
            if batch.tokens.is_empty() {
                continue;
            }
            self.prepare(&batch).map_err(fail)?;
            let mut recorder = gpu.recorder("rehearsal").listing();
            self.record(&mut recorder, &batch).map_err(fail)?;
            kernels.extend(recorder.into_listed());
        }
        Ok(kernels)
    }
}
