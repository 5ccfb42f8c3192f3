//! Choosing the next token from a row of logits.
//!
//! The order is llama.cpp's: logit bias, penalties, top-k, top-p, min-p, temperature, then a draw.

mod chain;
mod rng;

use std::collections::{HashMap, VecDeque};

use chain::Candidate;
pub use chain::argmax;
pub use rng::Mt19937;
use turbo_backend::{Choice, MAX_TOP_K};

use crate::request::{SamplingParams, TokenLogprobs};

/// The sampler of one generation: parameters, random numbers and the recent tokens.
#[derive(Clone, Debug)]
pub struct Sampler {
    params: SamplingParams,
    rng: Mt19937,
    recent: VecDeque<u32>,
    counts: HashMap<u32, u32>,
    candidates: Vec<Candidate>,
}

impl Sampler {
    /// A sampler that has seen `prompt`. The same parameters with the same seed choose the same tokens from the
    /// same logits.
    pub fn new(params: SamplingParams, prompt: &[u32]) -> Self {
        let seed = params.seed.unwrap_or_else(rng::seed_from_system);
        let mut sampler = Self {
            rng: Mt19937::new((seed ^ (seed >> 32)) as u32),
            params,
            recent: VecDeque::new(),
            counts: HashMap::new(),
            candidates: Vec::new(),
        };
        let skip = prompt.len().saturating_sub(sampler.params.repeat_last_n);
        prompt[skip..].iter().for_each(|&id| sampler.accept(id));
        sampler
    }

    /// Remembers a token for the penalties.
    pub fn accept(&mut self, id: u32) {
        if self.params.repeat_last_n == 0 {
            return;
        }
        self.recent.push_back(id);
        *self.counts.entry(id).or_default() += 1;
        while self.recent.len() > self.params.repeat_last_n {
            if let Some(old) = self.recent.pop_front()
                && let Some(count) = self.counts.get_mut(&old)
            {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&old);
                }
            }
        }
    }

    /// Chooses the next token and remembers it. `logits` is changed by bias and penalties.
    ///
    /// Returns `None` when no logit is a finite number: the model's output is then broken.
    pub fn sample(&mut self, logits: &mut [f32]) -> Option<u32> {
        self.adjust(logits);
        let id = if self.params.temperature == 0.0 { argmax(logits)? } else { self.draw(logits)? };
        self.accept(id);
        Some(id)
    }

    /// How a device would choose, but for the draw; `None` where it takes all logits, and this sampler, to do so.
    pub fn choice(&self, place: u32) -> Option<Choice> {
        let p = &self.params;
        let greedy = p.temperature == 0.0 || p.top_k == 1;
        let known = p.logit_bias.is_empty() && !self.penalises();
        let top_k = if greedy { 1 } else { u32::try_from(p.top_k).ok()? };
        let choice = Choice {
            place,
            top_k,
            temperature: if greedy { 1.0 } else { p.temperature },
            top_p: p.top_p,
            min_p: p.min_p,
            unit: 0.0,
        };
        (known && (1..=MAX_TOP_K).contains(&top_k)).then_some(choice)
    }

    /// The next draw, 0 to 1; none is made where the largest logit is always taken.
    pub fn draw_unit(&mut self) -> f64 {
        if self.params.temperature == 0.0 { 0.0 } else { self.rng.unit_f64() }
    }

    fn penalises(&self) -> bool {
        let p = &self.params;
        p.repeat_penalty != 1.0 || p.presence_penalty != 0.0 || p.frequency_penalty != 0.0
    }

    fn adjust(&self, logits: &mut [f32]) {
        let p = &self.params;
        for &(id, bias) in &p.logit_bias {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit += bias;
            }
        }
        if !self.penalises() {
            return;
        }
        for (&id, &count) in &self.counts {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit > 0.0 { *logit / p.repeat_penalty } else { *logit * p.repeat_penalty };
                *logit -= p.presence_penalty + p.frequency_penalty * count as f32;
            }
        }
    }

    fn draw(&mut self, logits: &[f32]) -> Option<u32> {
        let p = &self.params;
        chain::collect(logits, p.top_k, &mut self.candidates);
        chain::top_p(&mut self.candidates, p.top_p);
        chain::min_p(&mut self.candidates, p.min_p);
        chain::pick(&self.candidates, p.temperature, self.rng.unit_f64())
    }
}

/// The log-probability of `id` and of the `n` most likely tokens under a row of unchanged logits.
pub fn logprobs(logits: &[f32], id: u32, n: usize) -> TokenLogprobs {
    let log_sum = log_sum_exp(logits);
    let mut top: Vec<Candidate> = Vec::new();
    if n > 0 {
        chain::collect(logits, n, &mut top);
        top.truncate(n);
    }
    TokenLogprobs {
        logprob: (f64::from(logits[id as usize]) - log_sum) as f32,
        top: top.into_iter().map(|c| (c.id, (f64::from(c.logit) - log_sum) as f32)).collect(),
    }
}

/// ln(sum(exp(logits))), in double precision.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - f64::from(max)).exp()).sum();
    f64::from(max) + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits() -> Vec<f32> {
        (0..100).map(|i| ((i * 37 % 100) as f32) / 20.0).collect()
    }

    #[test]
    fn greedy_takes_the_largest_and_the_first_of_equals() {
        let mut sampler = Sampler::new(SamplingParams::greedy(), &[]);
        assert_eq!(sampler.sample(&mut [0.0, 3.0, 3.0, f32::NAN]), Some(1));
        assert_eq!(sampler.sample(&mut [f32::NAN, f32::NAN]), None);
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        let run = |seed| {
            let params = SamplingParams { seed: Some(seed), top_k: 0, ..SamplingParams::default() };
            let mut sampler = Sampler::new(params, &[]);
            (0..50).map(|_| sampler.sample(&mut logits()).expect("finite logits")).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn top_k_1_is_greedy_and_min_p_1_keeps_only_the_best() {
        for (top_k, min_p) in [(1, 0.0), (0, 1.0)] {
            let params = SamplingParams { top_k, min_p, temperature: 5.0, ..SamplingParams::default() };
            let mut sampler = Sampler::new(params, &[]);
            for _ in 0..20 {
                assert_eq!(sampler.sample(&mut logits()), argmax(&logits()));
            }
        }
    }

    #[test]
    fn penalties_look_at_the_last_n_tokens_only() {
        let params = SamplingParams { repeat_penalty: 2.0, repeat_last_n: 2, ..SamplingParams::greedy() };
        let mut sampler = Sampler::new(params, &[0, 1, 2]);
        let mut row = [4.0, 3.0, -1.0];
        assert_eq!(sampler.sample(&mut row), Some(0));
        assert_eq!(row, [4.0, 1.5, -2.0]);
        let mut row = [4.0, 3.0, -1.0];
        assert_eq!(sampler.sample(&mut row), Some(1), "2 and 0 are recent now, 1 is forgotten");
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let params = SamplingParams {
            seed: Some(3),
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            ..SamplingParams::default()
        };
        let mut sampler = Sampler::new(params, &[]);
        let ones = (0..10_000).filter(|_| sampler.sample(&mut [0.0, 1.0]) == Some(1)).count();
        let expected = 10_000.0 * 1f64.exp() / (1.0 + 1f64.exp());
        assert!((ones as f64 - expected).abs() < 200.0, "{ones} draws of token 1, expected about {expected:.0}");
    }

    #[test]
    fn logprobs_sum_to_one() {
        let report = logprobs(&logits(), 3, 100);
        let sum: f64 = report.top.iter().map(|&(_, lp)| f64::from(lp).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "probabilities sum to {sum}");
        assert!(report.top.windows(2).all(|w| w[0].1 >= w[1].1), "most likely first");
    }
}
