//! `turbo-wgpu perplexity`
//!
//! The protocol of llama-perplexity: the text is cut into windows of `-c` tokens, each starts from an empty cache
//! (and with the beginning token, if the model wants one), and the tokens of its second half are scored.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use turbo_runtime::sampling::{argmax, log_sum_exp};
use turbo_runtime::{Context, KvTypes, LogitsFor, Model, Sequence};
use turbo_text::EncodeOptions;

use crate::cli::PerplexityArgs;
use crate::{device, source, ui};

/// Prints the perplexity of a text.
pub(crate) fn run(args: &PerplexityArgs) -> Result<()> {
    let model = source::open(args.model.model.as_deref())?;
    let text = std::fs::read(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let tokens = model
        .tokenizer
        .encode(&String::from_utf8_lossy(&text), EncodeOptions { add_special: true, parse_special: false });
    let windows = windows(args, &tokens)?;
    let types = KvTypes { k: args.model.ctk, v: args.model.ctv };
    let device = device::choose(&args.model.device, args.model.threads)?;
    let mut context = device.load(Arc::clone(&model), types, Some(args.context))?;
    let mut base = match args.kl_against {
        Some(t) => Some(device.load(Arc::clone(&model), KvTypes { k: t, v: t }, Some(args.context))?),
        None => None,
    };
    if !args.json {
        device.announce(&context);
    }
    let bar = ui::progress(!args.json, windows as u64, "windows");
    let mut score = Score::default();
    for window in tokens.chunks_exact(args.context).take(windows) {
        score_window(&mut context, base.as_mut(), &begin(&model, window), &mut score)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    score.report(args, windows)
}

/// How many whole windows there are to score.
fn windows(args: &PerplexityArgs, tokens: &[u32]) -> Result<usize> {
    if args.context < 4 {
        bail!("a window of {} tokens is too short to score: give -c 4 or more", args.context);
    }
    let windows = tokens.len() / args.context;
    if windows == 0 {
        bail!(
            "{} has {} tokens, a window of {} cannot be filled: give a longer text or a smaller -c",
            args.file.display(),
            tokens.len(),
            args.context
        );
    }
    Ok(args.chunks.map_or(windows, |n| n.min(windows)))
}

/// A window with the model's beginning token in its first place, if it wants one.
fn begin(model: &Model, window: &[u32]) -> Vec<u32> {
    let mut window = window.to_vec();
    if model.tokenizer.add_bos()
        && let Some(bos) = model.tokenizer.bos()
    {
        window[0] = bos;
    }
    window
}

fn score_window(
    context: &mut Context,
    mut base: Option<&mut Context>,
    window: &[u32],
    score: &mut Score,
) -> Result<()> {
    let first = window.len() / 2;
    let mut sequence = Sequence::default();
    let mut base_sequence = Sequence::default();
    let nothing = &mut |_: &[f32]| {};
    context.extend(&mut sequence, &window[..first], LogitsFor::None, nothing)?;
    if let Some(base) = base.as_deref_mut() {
        base.extend(&mut base_sequence, &window[..first], LogitsFor::None, nothing)?;
    }
    // Batches are short enough for the logits of both caches to be in memory at once.
    let n_vocab = context.model().plan.n_vocab;
    let step = context.max_batch_tokens().min((8 << 20) / n_vocab).max(1);
    let scored = first..window.len() - 1;
    for start in scored.clone().step_by(step) {
        let end = (start + step).min(scored.end);
        let (tokens, targets) = (&window[start..end], &window[start + 1..=end]);
        let mut rows = Vec::new();
        context.extend(&mut sequence, tokens, LogitsFor::All, &mut |row| rows.extend_from_slice(row))?;
        let mut base_rows = Vec::new();
        if let Some(base) = base.as_deref_mut() {
            base.extend(&mut base_sequence, tokens, LogitsFor::All, &mut |row| base_rows.extend_from_slice(row))?;
        }
        for (i, (row, &target)) in rows.chunks_exact(n_vocab).zip(targets).enumerate() {
            score.add(row, target, base_rows.get(i * n_vocab..(i + 1) * n_vocab));
        }
    }
    context.truncate(&mut sequence, 0);
    if let Some(base) = base {
        base.truncate(&mut base_sequence, 0);
    }
    Ok(())
}

/// Sums over all scored tokens.
#[derive(Default)]
struct Score {
    tokens: usize,
    nll: f64,
    nll_squared: f64,
    kl: Vec<f64>,
    same_top: usize,
}

impl Score {
    fn add(&mut self, row: &[f32], target: u32, base: Option<&[f32]>) {
        let log_sum = log_sum_exp(row);
        let nll = log_sum - f64::from(row[target as usize]);
        self.tokens += 1;
        self.nll += nll;
        self.nll_squared += nll * nll;
        if let Some(base) = base {
            self.kl.push(divergence(base, row, log_sum));
            self.same_top += usize::from(argmax(base) == argmax(row));
        }
    }

    fn report(mut self, args: &PerplexityArgs, chunks: usize) -> Result<()> {
        let n = self.tokens as f64;
        let mean = self.nll / n;
        let perplexity = mean.exp();
        let variance = (self.nll_squared / n - mean * mean).max(0.0);
        let stderr = if self.tokens > 1 { (variance / (n - 1.0)).sqrt() * perplexity } else { 0.0 };
        self.kl.sort_by(f64::total_cmp);
        let kl = self.kl.last().map(|&max| {
            let p999 = self.kl[((self.kl.len() - 1) as f64 * 0.999).round() as usize];
            let mean = self.kl.iter().sum::<f64>() / n;
            serde_json::json!({ "mean": mean, "p999": p999, "max": max, "same_top": self.same_top as f64 / n })
        });
        let mut out = std::io::stdout().lock();
        if args.json {
            let mut report = serde_json::json!({
                "perplexity": perplexity, "stderr": stderr, "chunks": chunks, "tokens": self.tokens,
            });
            if let Some(kl) = kl {
                report["kl"] = kl;
            }
            writeln!(out, "{report}")?;
            return Ok(());
        }
        writeln!(out, "perplexity  {perplexity:.4} +- {stderr:.4}  ({chunks} windows, {} tokens scored)", self.tokens)?;
        if let (Some(kl), Some(against)) = (kl, args.kl_against) {
            writeln!(
                out,
                "KL divergence from {against} KV  mean {:.6}  99.9% {:.6}  max {:.6}  same top token {:.2}%",
                kl["mean"].as_f64().unwrap_or(0.0),
                kl["p999"].as_f64().unwrap_or(0.0),
                kl["max"].as_f64().unwrap_or(0.0),
                kl["same_top"].as_f64().unwrap_or(0.0) * 100.0,
            )?;
        }
        Ok(())
    }
}

/// sum p ln(p / q) over the vocabulary, p from `base`, q from `row` with its log-sum `log_sum`.
fn divergence(base: &[f32], row: &[f32], log_sum: f64) -> f64 {
    let base_sum = log_sum_exp(base);
    let terms = base.iter().zip(row).map(|(&b, &r)| {
        let log_p = f64::from(b) - base_sum;
        let log_q = f64::from(r) - log_sum;
        log_p.exp() * (log_p - log_q)
    });
    terms.sum::<f64>().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_of_equal_rows_is_zero_and_of_known_ones_known() {
        let row = [0.5f32, 1.0, -2.0];
        assert!(divergence(&row, &row, log_sum_exp(&row)) < 1e-15, "equal rows");
        let (p, q) = ([0.0f32, 0.0], [0.0f32, 3f32.ln()]);
        let want = 0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln();
        assert!((divergence(&p, &q, log_sum_exp(&q)) - want).abs() < 1e-6, "two-way case");
    }
}
