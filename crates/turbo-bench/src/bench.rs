//! What the measurements of all kernels share.

use turbo_gpu::{Gpu, GpuError, Recorder};
use turbo_wgsl::{Kernel, Variant};

use crate::clock::{Sampling, Work, clock_of};
use crate::count::Count;
use crate::error::BenchError;
use crate::options::BenchOptions;
use crate::report::{BenchReport, BenchRow};

/// What a row says before its time is known.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) kernel: String,
    pub(crate) variant: String,
    /// The kernel of the recorded dispatches that is timed; all without it.
    pub(crate) only: Option<&'static Kernel>,
    pub(crate) shape: String,
    pub(crate) bytes: u64,
    pub(crate) ops: u64,
}

impl Subject {
    /// A variant of `kernel` by itself.
    pub(crate) fn of(kernel: &'static Kernel, variant: &'static Variant) -> Self {
        Self {
            kernel: format!("{}/{}", kernel.family, kernel.name),
            variant: variant.name.to_owned(),
            only: Some(kernel),
            shape: String::new(),
            bytes: 0,
            ops: 0,
        }
    }

    /// Bytes and operations of one dispatch.
    pub(crate) fn set(&mut self, count: Count) {
        (self.bytes, self.ops) = (count.bytes, count.ops);
    }

    /// `kernel[variant]`.
    pub(crate) fn label(&self) -> String {
        let kernel = self.kernel.rsplit('/').next().unwrap_or_default();
        if self.variant.is_empty() { kernel.to_owned() } else { format!("{kernel}[{}]", self.variant) }
    }
}

/// A run of measurements.
pub(crate) struct Bench<'a> {
    pub(crate) gpu: &'a Gpu,
    pub(crate) options: &'a BenchOptions,
    sampling: Sampling,
    progress: &'a mut dyn FnMut(&BenchRow),
    bandwidth: f64,
    /// Whether the filter asked for any row.
    matched: bool,
    rows: Vec<BenchRow>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(gpu: &'a Gpu, options: &'a BenchOptions, progress: &'a mut dyn FnMut(&BenchRow)) -> Self {
        let sampling = Sampling::new(gpu, options.quick);
        Self { gpu, options, sampling, progress, bandwidth: f64::NAN, matched: false, rows: Vec::new() }
    }

    /// Measures `record`, which dispatches `subject`, whatever the filter says.
    fn row(
        &mut self,
        subject: Subject,
        record: &dyn Fn(&mut Recorder<'_>) -> Result<(), GpuError>,
    ) -> Result<(), BenchError> {
        self.matched |= self.options.wants(&subject.label());
        let times = Work { gpu: self.gpu, only: subject.only, record }.times(&self.sampling)?;
        let microseconds = times.median();
        let gb_per_s = subject.bytes as f64 / microseconds / 1e3;
        if self.rows.is_empty() {
            self.bandwidth = gb_per_s;
        }
        let row = BenchRow {
            kernel: subject.kernel,
            variant: subject.variant,
            shape: subject.shape,
            microseconds,
            spread: times.spread(),
            samples: times.samples.len(),
            repetitions: times.repetitions,
            bytes: subject.bytes,
            gb_per_s,
            share_of_bandwidth: gb_per_s / self.bandwidth,
            ops: subject.ops,
        };
        (self.progress)(&row);
        self.rows.push(row);
        Ok(())
    }

    /// Measures the bandwidth: the first row, which all others are compared with.
    pub(crate) fn measure_bandwidth(
        &mut self,
        subject: Subject,
        record: impl Fn(&mut Recorder<'_>) -> Result<(), GpuError>,
    ) -> Result<(), BenchError> {
        self.row(subject, &record)
    }

    /// Measures `record`, which dispatches `subject`, if it is wanted.
    pub(crate) fn measure(
        &mut self,
        subject: Subject,
        record: impl Fn(&mut Recorder<'_>) -> Result<(), GpuError>,
    ) -> Result<(), BenchError> {
        if self.options.wants(&subject.label()) { self.row(subject, &record) } else { Ok(()) }
    }

    /// The variants to measure: `chosen`, or all of `kernel` whose names start with `prefix` that the device can run.
    pub(crate) fn variants(
        &self,
        kernel: &'static Kernel,
        prefix: &str,
        chosen: &'static Variant,
    ) -> Vec<&'static Variant> {
        if !self.options.all_variants {
            return vec![chosen];
        }
        let runs = |v: &&Variant| v.name.starts_with(prefix) && self.gpu.capabilities().unmet(v).is_none();
        kernel.variants.iter().filter(runs).collect()
    }

    /// The table.
    pub(crate) fn finish(self) -> Result<BenchReport, BenchError> {
        let Self { gpu, options, bandwidth, matched, rows, .. } = self;
        match &options.filter {
            Some(filter) if !matched => Err(BenchError::Filter { filter: filter.clone() }),
            _ => Ok(BenchReport {
                device: gpu.description().to_string(),
                clock: clock_of(gpu),
                bandwidth_gb_per_s: bandwidth,
                rows,
            }),
        }
    }
}
