//! Counting what differs, and the rows of the table.

use std::time::Duration;

use serde::Serialize;
use turbo_wgsl::{Class, Kernel, Variant};

/// The first result that differed, with all that is needed to try it again.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Shape and seed of the case.
    pub case: String,
    /// Index of the value in the output.
    pub index: usize,
    /// Bits of the device.
    pub got: u32,
    /// Bits of the twin.
    pub want: u32,
}

/// What the cases of a variant gave.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cases tried.
    pub cases: u64,
    /// Vectors (heads, groups, queries) tried.
    pub vectors: u64,
    /// Vectors with a differing bit.
    pub mismatches: u64,
    /// The first of them.
    pub first: Option<Outcome>,
    error: f64,
    power: f64,
}

impl Tally {
    /// Adds one case: words of `width` per vector from the device and from the twin, to the bit.
    pub fn compare_bits(&mut self, case: &str, got: &[u32], want: &[u32], width: usize) {
        self.cases += 1;
        self.vectors += (want.len() / width) as u64;
        if got.len() != want.len() {
            self.mismatches += (want.len() / width) as u64;
        }
        for (vector, (g, w)) in got.chunks(width).zip(want.chunks(width)).enumerate() {
            if let Some(i) = (0..w.len()).find(|&i| g[i] != w[i]) {
                self.mismatches += 1;
                self.first.get_or_insert_with(|| Outcome {
                    case: case.to_owned(),
                    index: vector * width + i,
                    got: g[i],
                    want: w[i],
                });
            }
        }
    }

    /// Adds one case of a bounded kernel: vectors of `width` values from the device and from the twin.
    pub fn compare_values(&mut self, got: &[f32], want: &[f32], width: usize) {
        self.compare_doubles(got, &want.iter().map(|&w| f64::from(w)).collect::<Vec<_>>(), width);
    }

    /// The same where the twin has f64.
    pub fn compare_doubles(&mut self, got: &[f32], want: &[f64], width: usize) {
        self.cases += 1;
        self.vectors += (want.len() / width) as u64;
        self.add_error(got, want);
    }

    /// Adds values to the error against float64.
    pub fn add_error(&mut self, got: &[f32], want: &[f64]) {
        for (&g, &w) in got.iter().zip(want) {
            self.error += (f64::from(g) - w).powi(2);
            self.power += w.powi(2);
        }
    }

    /// Normalised mean squared error against float64, if there is one.
    pub fn nmse(&self) -> Option<f64> {
        (self.power > 0.0).then(|| self.error / self.power)
    }
}

/// What a row means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As promised.
    Ok,
    /// Not as promised.
    Fail,
    /// The device cannot run the variant, or a software adapter was spared it.
    NotRun,
}

/// A row of the table: one variant on one device.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `family/kernel`.
    pub kernel: String,
    /// The variant.
    pub variant: &'static str,
    /// `exact` or `bounded`.
    pub class: &'static str,
    /// Cases tried.
    pub cases: u64,
    /// Vectors tried.
    pub vectors: u64,
    /// Vectors with a differing bit.
    pub mismatches: u64,
    /// Error against float64.
    pub nmse: Option<f64>,
    /// Largest error that a bounded kernel may have.
    pub bound: Option<f64>,
    /// What it means.
    pub verdict: Verdict,
    /// Why it was not run.
    pub not_run: Option<String>,
    /// What the device failed at.
    pub error: Option<String>,
    /// The first differing result.
    pub first: Option<Outcome>,
    /// Seconds it took, the twin's share included.
    pub seconds: f64,
}

impl Row {
    pub(crate) fn new(
        kernel: &Kernel,
        variant: &Variant,
        tally: Tally,
        not_run: Option<String>,
        error: Option<String>,
        took: Duration,
    ) -> Self {
        let nmse = tally.nmse();
        let bound = match kernel.class {
            Class::Exact => None,
            Class::Bounded(bound) => Some(bound),
        };
        // A bounded kernel may have parts that are exact.
        let kept = tally.mismatches == 0 && bound.is_none_or(|bound| nmse.is_some_and(|nmse| nmse <= bound));
        let verdict = match (&not_run, kept && tally.vectors > 0 && error.is_none()) {
            (Some(_), _) => Verdict::NotRun,
            (None, true) => Verdict::Ok,
            (None, false) => Verdict::Fail,
        };
        Self {
            kernel: format!("{}/{}", kernel.family, kernel.name),
            variant: variant.name,
            class: if kernel.class == Class::Exact { "exact" } else { "bounded" },
            cases: tally.cases,
            vectors: tally.vectors,
            mismatches: tally.mismatches,
            nmse,
            bound,
            verdict,
            not_run,
            error,
            first: tally.first,
            seconds: took.as_secs_f64(),
        }
    }
}
