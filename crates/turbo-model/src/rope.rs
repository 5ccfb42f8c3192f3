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
        let style = match self.style {
            RopeStyle::Neox => "neox",
            RopeStyle::Interleaved => "interleaved",
        };
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
        let pair_of = |rotations: f64| {
            dims as f64 * (self.original_context / (rotations * 2.0 * PI)).ln() / (2.0 * base.ln())
        };
        let low = pair_of(self.beta_fast).floor().max(0.0);
        let high = pair_of(self.beta_slow).ceil().min(dims as f64 - 1.0);
        let ramp = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        (1.0 - ramp) * self.extrapolation
    }

    /// 0.1 ln(factor) + 1, divided by the same with `log_multiplier` in place of 1 where the file gives one.
    fn attention_factor(&self) -> f64 {
        let mscale = |m: f64| if self.factor <= 1.0 { 1.0 } else { 0.1 * m * self.factor.ln() + 1.0 };
        if self.extrapolation == 0.0 {
            return 1.0;
        }
        if self.log_multiplier == 0.0 { mscale(1.0) } else { mscale(1.0) / mscale(self.log_multiplier) }
    }
}
