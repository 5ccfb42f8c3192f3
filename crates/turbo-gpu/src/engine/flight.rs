//! Batches on their way: started one after the other, so that the device always has the next one.

use std::sync::Arc;
use std::time::Instant;

use turbo_backend::{BackendError, BatchItem, Chooser, Results};

use super::batch::{Batch, Most};
use super::{GpuEngine, backend_error};
use crate::buffer::ReadBack;
use crate::error::GpuError;
use crate::recorder::{Recorder, Submission};

/// A batch whose results were not collected.
pub(super) struct Flight {
    submission: Submission,
    /// Takes faults, chosen tokens and logits of the batch.
    results: ReadBack<u32>,
    parts: Parts,
    batch: Batch,
    started: Instant,
}

/// Words of the results.
#[derive(Clone, Copy)]
struct Parts {
    faults: usize,
    chosen: usize,
    logits: usize,
}

impl Parts {
    fn words(self) -> usize {
        self.faults + self.chosen + self.logits
    }
}

impl GpuEngine {
    /// Records and submits all steps on `batch`.
    fn start(&mut self, batch: Batch) -> Result<(), BackendError> {
        let gpu = Arc::clone(&self.gpu);
        let fail = |error| backend_error(&gpu, error);
        let started = Instant::now();
        self.prepare(&batch).map_err(fail)?;
        let parts = Parts {
            faults: self.faults.words(batch.tokens.len()),
            chosen: batch.choices.iter().map(|choice| choice.place as usize + 1).max().unwrap_or(0),
            logits: batch.rows_for_host() * self.plan.n_vocab,
        };
        let results = self.results_for(parts.words()).map_err(fail)?;
        let mut recorder = gpu.recorder("forward");
        let traced = tracing::enabled!(target: "turbo_gpu::timing", tracing::Level::TRACE);
        if traced {
            recorder = recorder.with_timing().map_err(fail)?;
        }
        self.record(&mut recorder, &batch).map_err(fail)?;
        self.record_results(&mut recorder, batch.tokens.len(), parts, &results).map_err(fail)?;
        let submission = if traced {
            let (submission, times) = recorder.submit_with_times().map_err(fail)?;
            super::trace(&times);
            submission
        } else {
            recorder.submit().map_err(fail)?
        };
        let submitted = started.elapsed().as_secs_f64() * 1e3;
        let (tokens, ahead) = (batch.tokens.len(), self.flights.len());
        tracing::debug!(
            target: "turbo_gpu::timing",
            "{tokens} tokens: recorded and submitted in {submitted:.2} ms, {ahead} batches before it"
        );
        self.flights.push_back(Flight { submission, results, parts, batch, started });
        Ok(())
    }

    /// Records copies of what the host reads of a batch of `tokens` tokens.
    fn record_results(
        &self,
        recorder: &mut Recorder<'_>,
        tokens: usize,
        parts: Parts,
        to: &ReadBack<u32>,
    ) -> Result<(), GpuError> {
        let logits = &self.values[self.plan.logits.0 as usize];
        self.faults.copy_out(recorder, tokens, to)?;
        self.choices.copy_out(recorder, parts.chosen, to, parts.faults)?;
        recorder.copy_words(logits, 0..parts.logits, to, parts.faults + parts.chosen)
    }

    /// Memory for results of `words` words: some that is free, or new.
    fn results_for(&mut self, words: usize) -> Result<ReadBack<u32>, GpuError> {
        match self.free_results.iter().position(|free| free.len() >= words) {
            Some(at) => Ok(self.free_results.swap_remove(at)),
            None => {
                // What is free is too small from now on.
                self.free_results.clear();
                self.gpu.read_back("results", words)
            }
        }
    }

    /// Waits for the oldest batch.
    fn land(&mut self, results: &mut Results) -> Result<(), BackendError> {
        results.logits.clear();
        results.chosen.clear();
        let Some(flight) = self.flights.pop_front() else {
            return Err(BackendError::InvalidBatch("there is no batch to wait for".into()));
        };
        let gpu = Arc::clone(&self.gpu);
        let parts = flight.parts;
        let words = gpu.read(&flight.results, &flight.submission).map_err(|error| backend_error(&gpu, error))?;
        self.free_results.push(flight.results);
        let took = flight.started.elapsed().as_secs_f64() * 1e3;
        tracing::debug!(target: "turbo_gpu::timing", "{} tokens: done after {took:.2} ms", flight.batch.tokens.len());
        let (faults, rest) = words.split_at(parts.faults);
        let mut batch = flight.batch;
        self.name_tokens(&mut batch);
        self.check_faults(&batch, faults)?;
        for choice in &batch.choices {
            let (place, token) = (choice.place as usize, rest[choice.place as usize]);
            self.last_chosen[place] = token;
            results.chosen.push(Some(token).filter(|&token| token != u32::MAX));
        }
        results.logits.extend_from_slice(bytemuck::cast_slice(&rest[parts.chosen..parts.chosen + parts.logits]));
        Ok(())
    }

    /// Replaces what stands for chosen tokens in the oldest batch: later ones have other tokens in their places.
    fn name_tokens(&self, batch: &mut Batch) {
        for token in &mut batch.tokens {
            if let Some(place) = turbo_backend::place_of(*token) {
                *token = self.last_chosen[place as usize];
            }
        }
    }

    /// [`turbo_backend::Engine::forward`].
    pub(super) fn run(&mut self, items: &[BatchItem<'_>], results: &mut Results) -> Result<(), BackendError> {
        if !self.flights.is_empty() {
            return Err(BackendError::InvalidBatch("earlier batches were not collected".into()));
        }
        self.submit(items)?;
        self.land(results)
    }
}

impl Chooser for GpuEngine {
    fn places(&self) -> usize {
        self.choices.places()
    }

    fn submit(&mut self, items: &[BatchItem<'_>]) -> Result<(), BackendError> {
        let most = Most { tokens: self.max_batch, rows: self.max_rows };
        let places = self.choices.places();
        let batch = Batch::new(items, most, |item| {
            let Some(pool) = self.pools.get(&item.pool) else {
                return Err(BackendError::InvalidBatch(format!("there is no pool {}", item.pool.0)));
            };
            let place = item.tokens.iter().filter_map(|&token| turbo_backend::place_of(token)).max();
            match place.filter(|&place| place as usize >= places) {
                Some(place) => Err(BackendError::InvalidBatch(format!("place {place} of {places} for chosen tokens"))),
                None => pool.check(item.blocks),
            }
        })?;
        if batch.tokens.is_empty() {
            return Err(BackendError::InvalidBatch("there are no tokens in it".into()));
        }
        self.start(batch)
    }

    fn collect(&mut self, results: &mut Results) -> Result<(), BackendError> {
        self.land(results)
    }
}
