//! Taking the time of a dispatch.

use std::time::{Duration, Instant};

use turbo_gpu::{Gpu, GpuError, Recorder, Timestamps};
use turbo_wgsl::Kernel;

use crate::report::Clock;

/// How carefully times are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    samples: usize,
    /// How long the device works right before its clock is read.
    busy: Duration,
    /// How long a sample is to take.
    sample: Duration,
    /// Most dispatches in a sample.
    most: usize,
}

impl Sampling {
    pub(crate) fn new(gpu: &Gpu, quick: bool) -> Self {
        let software = gpu.description().kind == "software";
        let (samples, most) = if quick { (5, 100) } else { (25, 400) };
        let busy = match (quick, software) {
            (_, true) => Duration::ZERO,
            (true, false) => Duration::from_millis(100),
            (false, false) => Duration::from_millis(400),
        };
        Self { samples, busy, sample: Duration::from_millis(2), most }
    }

    /// Dispatches of `each` that fill `time`.
    fn fill(&self, time: Duration, each: Duration) -> usize {
        (time.as_nanos() / each.as_nanos().max(1)).clamp(1, self.most as u128) as usize
    }
}

/// Times of one dispatch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Times {
    /// Microseconds, ascending.
    pub(crate) samples: Vec<f64>,
    pub(crate) repetitions: usize,
}

impl Times {
    fn new(mut samples: Vec<f64>, repetitions: usize) -> Self {
        samples.sort_by(f64::total_cmp);
        Self { samples, repetitions }
    }

    /// The sample below which `quarters` quarters of them lie.
    fn quartile(&self, quarters: usize) -> f64 {
        let last = self.samples.len().saturating_sub(1);
        self.samples.get((last * quarters + 2) / 4).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quartile(2)
    }

    /// Distance of the quartiles by the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.quartile(3) - self.quartile(1)) / self.median()
    }
}

/// The clock that `gpu` offers.
pub(crate) fn clock_of(gpu: &Gpu) -> Clock {
    if gpu.capabilities().timestamps == Timestamps::None { Clock::Wall } else { Clock::Gpu }
}

/// A repeatable piece of work.
pub(crate) struct Work<'a> {
    pub(crate) gpu: &'a Gpu,
    /// The kernel of those that `record` dispatches that is timed; all without it.
    pub(crate) only: Option<&'static Kernel>,
    pub(crate) record: &'a dyn Fn(&mut Recorder<'_>) -> Result<(), GpuError>,
}

impl<'a> Work<'a> {
    fn recorder(&self) -> Recorder<'a> {
        let recorder = self.gpu.recorder("bench");
        match self.only {
            Some(kernel) => recorder.only(kernel),
            None => recorder,
        }
    }

    fn submit(&self, times: usize) -> Result<(), GpuError> {
        let mut recorder = self.recorder();
        for _ in 0..times {
            (self.record)(&mut recorder)?;
        }
        recorder.submit().map(drop)
    }

    /// The host's time from the submission to the end.
    fn wall(&self, times: usize) -> Result<Duration, GpuError> {
        let started = Instant::now();
        self.submit(times)?;
        self.gpu.wait()?;
        Ok(started.elapsed())
    }

    /// Keeps the device at work for a while, and returns while it still is.
    fn keep_busy(&self, sampling: &Sampling, each: Duration) -> Result<(), GpuError> {
        let started = Instant::now();
        while started.elapsed() < sampling.busy {
            self.gpu.wait()?;
            for _ in 0..8 {
                self.submit(sampling.fill(sampling.sample, each))?;
            }
        }
        Ok(())
    }

    /// Takes the times.
    pub(crate) fn times(&self, sampling: &Sampling) -> Result<Times, GpuError> {
        // Compiles the pipelines.
        self.wall(1)?;
        let (few, many) = (self.wall(1)?, if sampling.busy.is_zero() { 1 } else { 20 });
        // What a submission costs by itself is in both.
        let each = if many == 1 { few } else { self.wall(many + 1)?.saturating_sub(few) / many as u32 };
        let repetitions = sampling.fill(sampling.sample, each);
        match clock_of(self.gpu) {
            Clock::Gpu => self.by_gpu(sampling, each, repetitions),
            Clock::Wall => self.by_wall(sampling, each, repetitions),
        }
    }

    fn by_gpu(&self, sampling: &Sampling, each: Duration, repetitions: usize) -> Result<Times, GpuError> {
        let mut timed = self.recorder().with_timing()?;
        for _ in 0..sampling.samples {
            timed.span("bench", |recorder| (0..repetitions).try_for_each(|_| (self.record)(recorder)))?;
        }
        self.keep_busy(sampling, each)?;
        let spans = timed.submit_timed()?;
        let samples = spans.into_iter().map(|(_, ns)| ns / 1e3 / repetitions as f64).collect();
        Ok(Times::new(samples, repetitions))
    }

    fn by_wall(&self, sampling: &Sampling, each: Duration, repetitions: usize) -> Result<Times, GpuError> {
        self.keep_busy(sampling, each)?;
        self.gpu.wait()?;
        let sample = || Ok(self.wall(repetitions)?.as_secs_f64() * 1e6 / repetitions as f64);
        let samples = (0..sampling.samples).map(|_| sample()).collect::<Result<_, GpuError>>()?;
        Ok(Times::new(samples, repetitions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread_are_those_of_the_sorted_samples() {
        let times = Times::new(vec![5.0, 1.0, 3.0, 2.0, 4.0], 7);
        assert_eq!((times.median(), times.spread()), (3.0, 2.0 / 3.0));
        let one = Times::new(vec![2.0], 1);
        assert_eq!((one.median(), one.spread()), (2.0, 0.0));
        assert!(Times::new(Vec::new(), 1).median().is_nan());
    }
}
