//! Frequencies of rotary position embeddings and their scaling variants, in f64.
//!
//! Sources: RoFormer (Su et al. 2021) for the base frequencies; position interpolation (Chen et al. 2023) for
//! linear scaling; YaRN (Peng et al. 2023), sections 3.2 to 3.4, for the ramp between interpolation and
//! extrapolation and the attention factor. Where the papers leave a choice (rounding of the correction range,
//! metadata defaults) this follows what llama.cpp does with the same file (`ggml_rope_yarn_corr_dims`,
//! `rope_yarn` and the set-up of its context).

use std::f64::consts::PI;

use turbo_backend::plan::{RopeStyle, RopeTable};

/// How frequencies are stretched to contexts beyond the one first trained for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RopeScaling {
    /// As trained.
    None,
    /// Every frequency divided by the factor.
    Linear {
        /// How many times longer the context is.
        factor: f64,
    },
    /// Low frequencies divided by the factor, high ones kept, a ramp between.
    Yarn(Yarn),
}

/// Parameters of YaRN.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Yarn {
    /// How many times longer the context is.
    pub(crate) factor: f64,
    /// Context length before the extension, in tokens.
    pub(crate) original_context: f64,
    /// Rotations over the original context above which a frequency is kept.
    pub(crate) beta_fast: f64,
    /// Rotations over the original context below which a frequency is divided by the factor.
    pub(crate) beta_slow: f64,
    /// Share of the ramp that is applied, 1 in the paper.
    pub(crate) extrapolation: f64,
    /// `mscale_all_dim` of DeepSeek's variant, 0 if the file has none.
    pub(crate) log_multiplier: f64,
}

/// Everything that decides a [`RopeTable`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RopeSpec {
    /// Which values form a pair.
    pub(crate) style: RopeStyle,
    /// Leading values of a head that are rotated; even.
    pub(crate) dims: usize,
    /// Theta: the base of the geometric series, above 1.
    pub(crate) base: f64,
    /// Stretching.
    pub(crate) scaling: RopeScaling,
    /// Further factor on sine and cosine.
    pub(crate) attention_factor: f64,
    /// One divisor per pair (llama 3, LongRoPE); none if empty.
    pub(crate) divisors: Vec<f32>,
}

impl RopeSpec {
    /// The frequencies and magnitude this describes.
    pub(crate) fn table(&self) -> RopeTable {
        let inv_freq = (0..self.dims / 2).map(|pair| self.frequency(pair) as f32).collect();
        let scaling = match &self.scaling {
            RopeScaling::Yarn(yarn) => yarn.attention_factor(),
            RopeScaling::None | RopeScaling::Linear { .. } => 1.0,
        };
        RopeTable { style: self.style, inv_freq, magnitude: (scaling * self.attention_factor) as f32 }
    }

    fn frequency(&self, pair: usize) -> f64 {
        let trained = self.base.powf(-2.0 * pair as f64 / self.dims as f64);
        let divided = trained / self.divisors.get(pair).map_or(1.0, |&d| f64::from(d));
        match &self.scaling {
            RopeScaling::None => divided,
            RopeScaling::Linear { factor } => divided / factor,
            RopeScaling::Yarn(yarn) => {
                let kept = yarn.kept_share(pair, self.dims, self.base);
                divided / yarn.factor * (1.0 - kept) + divided * kept
            }
        }
    }

    /// What it is, in words, for `show`.
    pub(crate) fn describe(&self, head_dim: usize) -> String {
        let style = self.style.name();
        let mut text = format!("{style}, {} of {head_dim} values, theta {}", self.dims, self.base);
        match &self.scaling {
            RopeScaling::None => {}
            RopeScaling::Linear { factor } => text += &format!(", linear scaling {factor}"),
            RopeScaling::Yarn(y) => text += &format!(", yarn {} from {} tokens", y.factor, y.original_context),
        }
        if !self.divisors.is_empty() {
            text += ", per-frequency factors";
        }
        text
    }
}

impl Yarn {
    /// How much of a pair's trained frequency is kept: 1 for fast pairs, 0 for slow ones.
    fn kept_share(&self, pair: usize, dims: usize, base: f64) -> f64 {
        // The pair whose frequency makes `rotations` turns over the original context.
        let pair_of =
            |rotations: f64| dims as f64 * (self.original_context / (rotations * 2.0 * PI)).ln() / (2.0 * base.ln());
        let low = pair_of(self.beta_fast).floor().max(0.0);
        let high = pair_of(self.beta_slow).ceil().min(dims as f64 - 1.0);
        let ramp = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        (1.0 - ramp) * self.extrapolation
    }

    /// 0.1 ln(factor) + 1, divided by the same with `log_multiplier` in place of 1 where the file gives one.
    fn attention_factor(&self) -> f64 {
        let mscale = |m: f64| {
            if self.factor <= 1.0 { 1.0 } else { 0.1 * m * self.factor.ln() + 1.0 }
        };
        if self.extrapolation == 0.0 {
            return 1.0;
        }
        if self.log_multiplier == 0.0 { mscale(1.0) } else { mscale(1.0) / mscale(self.log_multiplier) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dims: usize, base: f64, scaling: RopeScaling) -> RopeSpec {
        let style = RopeStyle::Neox;
        RopeSpec { style, dims, base, scaling, attention_factor: 1.0, divisors: Vec::new() }
    }

    fn yarn(factor: f64) -> Yarn {
        Yarn {
            factor,
            original_context: 32768.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            extrapolation: 1.0,
            log_multiplier: 0.0,
        }
    }

    fn assert_close(got: f32, want: f64) {
        assert!((f64::from(got) / want - 1.0).abs() < 1e-7, "got {got}, want {want}");
    }

    #[test]
    fn unscaled_frequencies_fall_geometrically() {
        let table = spec(8, 10_000.0, RopeScaling::None).table();
        assert_eq!(table.inv_freq, [1.0, 0.1, 0.01, 0.001]);
        assert_eq!(table.magnitude, 1.0);
    }

    #[test]
    fn linear_scaling_and_divisors_divide() {
        let mut spec = spec(4, 10_000.0, RopeScaling::Linear { factor: 4.0 });
        assert_eq!(spec.table().inv_freq, [0.25, 0.0025]);
        spec.divisors = vec![1.0, 8.0];
        assert_eq!(spec.table().inv_freq, [0.25, 0.0003125]);
    }

    // Expected: the formulas of `_compute_yarn_parameters` of transformers in Python floats, with
    // rope_theta 1e6, factor 4, original_max_position_embeddings 32768 (Qwen2.5's YaRN settings).
    #[test]
    fn yarn_keeps_fast_pairs_and_divides_slow_ones() {
        let table = spec(64, 1e6, RopeScaling::Yarn(yarn(4.0))).table();
        for (pair, want) in [
            (0, 1.0),
            (1, 0.6493816315762113),
            (11, 0.008659643233600653),
            (12, 0.005154795480911533),
            (15, 0.0010266176840396614),
            (20, 4.445698525097307e-05),
            (31, 3.84981631514873e-07),
        ] {
            assert_close(table.inv_freq[pair], want);
        }
        assert_close(table.magnitude, 1.138629436111989);
        let wide = spec(128, 1e6, RopeScaling::Yarn(yarn(4.0))).table();
        assert_close(wide.inv_freq[24], 0.005375321490790102);
        assert_close(wide.inv_freq[31], 0.0008029597275452302);
        assert_close(wide.inv_freq[63], 3.102344401879299e-07);
    }

    #[test]
    fn yarn_magnitude_follows_the_log_multiplier_and_the_stated_factor() {
        let magnitude = |yarn: Yarn, attention_factor| {
            let spec = spec(64, 1e6, RopeScaling::Yarn(yarn));
            RopeSpec { attention_factor, ..spec }.table().magnitude
        };
        assert_eq!(magnitude(Yarn { log_multiplier: 1.0, ..yarn(48.0) }, 1.0), 1.0);
        // (0.1 ln 40 + 1) / (0.0707 ln 40 + 1)
        assert_close(magnitude(Yarn { log_multiplier: 0.707, ..yarn(40.0) }, 1.0), 1.085_726_399_256_135_5);
        assert_close(magnitude(yarn(4.0), 0.5), 0.569_314_718_055_994_5);
        assert_eq!(magnitude(yarn(0.5), 1.0), 1.0);
    }

    #[test]
    fn yarn_without_extrapolation_is_linear() {
        let none = Yarn { extrapolation: 0.0, ..yarn(4.0) };
        let table = spec(64, 1e6, RopeScaling::Yarn(none)).table();
        assert_eq!(table, spec(64, 1e6, RopeScaling::Linear { factor: 4.0 }).table());
    }

    #[test]
    fn absurd_parameters_still_give_finite_frequencies() {
        let odd = Yarn { original_context: 1.0, beta_fast: 1.0, beta_slow: 32.0, ..yarn(1e30) };
        let table = spec(64, 1.0001, RopeScaling::Yarn(odd)).table();
        assert!(table.inv_freq.iter().all(|f| f.is_finite()));
    }
}
