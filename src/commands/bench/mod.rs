//! `turbo-wgpu bench`: tokens per second of a model, as llama-bench measures them.

mod bandwidth;
mod print;

use std::io::Write;
use std::time::Instant;

use anyhow::{Result, bail};
use turbo_runtime::{Choice, Context, KvTypes, LogitsFor, Results, Sequence, SequenceInput, chosen_at};

use crate::cli::{BenchArgs, Output};
use crate::{device, source, ui};

/// One test: so many tokens of prompt or so many single tokens, after so many in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Test {
    types: KvTypes,
    depth: usize,
    prompt: usize,
    generate: usize,
}

/// A test and its result; the keys up to `stddev_ts` are llama-bench's.
#[derive(Clone, Debug, serde::Serialize)]
struct Row {
    model_filename: String,
    model_type: String,
    model_size: u64,
    model_n_params: u64,
    backends: String,
    /// Device and driver, or processor and threads.
    gpu_info: String,
    n_threads: usize,
    n_batch: usize,
    type_k: String,
    type_v: String,
    n_prompt: usize,
    n_gen: usize,
    n_depth: usize,
    avg_ns: f64,
    stddev_ns: f64,
    avg_ts: f64,
    stddev_ts: f64,
    samples_ns: Vec<u64>,
    samples_ts: Vec<f64>,
    /// Bytes of KV cache of a token.
    kv_bytes_per_token: f64,
    /// Bytes that a generated token reads: all weights and the cache as far as it is filled, on average.
    bytes_per_token: Option<f64>,
    /// Those bytes times the tokens per second.
    gb_per_s: Option<f64>,
    /// What the device reads in the same run.
    bandwidth_gb_per_s: f64,
    /// The share of it that generating reaches.
    share_of_bandwidth: Option<f64>,
    /// From the start of loading to the last weight.
    load_seconds: f64,
    /// Bytes taken on the device, where they are counted: weights, cache, everything else, most of all at a time.
    memory_weights: Option<u64>,
    memory_kv: u64,
    memory_working: Option<u64>,
    memory_peak: Option<u64>,
    /// What the driver says that the process takes.
    memory_by_driver: Option<u64>,
}

/// Runs all tests.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let tests = tests(args);
    if tests.is_empty() {
        bail!("nothing to measure: -p and -n are all 0");
    }
    let model = source::open(args.model.as_deref())?;
    let info = turbo_model::describe(&model.file)?;
    let device = device::choose(&args.device, args.threads)?;
    let bandwidth = bandwidth::measure(&device)?;
    let bar = ui::progress(args.output == Output::Table, tests.len() as u64, "measuring");
    let mut rows = Vec::with_capacity(tests.len());
    for test in tests {
        let mut context = device.load(model.clone(), test.types, Some(test.tokens()))?;
        let samples = test.run(&mut context, usize::from(args.repetitions))?;
        rows.push(row(&test, &context, &info, samples, bandwidth, device.load_seconds()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Table => writeln!(out, "{}", print::table(&rows))?,
        Output::Md => write!(out, "{}", print::markdown(&rows))?,
        Output::Csv => write!(out, "{}", print::csv(&rows)?)?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?,
    }
    Ok(())
}

/// All tests that the flags ask for, in llama-bench's order: of every depth the prompts, then the generations.
fn tests(args: &BenchArgs) -> Vec<Test> {
    let mut tests = Vec::new();
    for (k, v) in args.types() {
        let types = KvTypes { k, v };
        for &depth in &args.n_depth {
            let prompts = args.n_prompt.iter().map(|&prompt| Test { types, depth, prompt, generate: 0 });
            let generations = args.n_gen.iter().map(|&generate| Test { types, depth, prompt: 0, generate });
            tests.extend(prompts.chain(generations).filter(|test| test.prompt + test.generate > 0));
        }
    }
    tests
}

impl Test {
    /// Context that it takes.
    fn tokens(&self) -> usize {
        self.depth + self.prompt + self.generate
    }

    /// Nanoseconds of every repetition, after one that does not count.
    fn run(&self, context: &mut Context, repetitions: usize) -> Result<Vec<u64>> {
        let n_vocab = context.model().plan.n_vocab as u64;
        // Any tokens do, as long as they differ; the same ones every time.
        let token = |i: usize| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % n_vocab;
        let tokens: Vec<u32> = (0..self.tokens()).map(|i| token(i + 1) as u32).collect();
        let (depth, rest) = tokens.split_at(self.depth);
        let mut sequence = Sequence::default();
        context.extend(&mut sequence, depth, LogitsFor::None, &mut |_| {})?;
        let mut samples = Vec::with_capacity(repetitions);
        for repetition in 0..=repetitions {
            let started = Instant::now();
            if self.prompt > 0 {
                context.extend(&mut sequence, rest, LogitsFor::Last, &mut |_| {})?;
            } else if context.choice_places() > 0 {
                generate_ahead(context, &mut sequence, rest)?;
            } else {
                for token in rest {
                    context.extend(&mut sequence, std::slice::from_ref(token), LogitsFor::Last, &mut |_| {})?;
                }
            }
            if repetition > 0 {
                samples.push(started.elapsed().as_nanos() as u64);
            }
            context.truncate(&mut sequence, self.depth);
        }
        context.truncate(&mut sequence, 0);
        Ok(samples)
    }
}

/// Generates as many tokens as `tokens` has, the first of which comes before them, as the engine does it for requests: the
/// device takes the largest logit and goes on with it, while the host waits for the token before.
fn generate_ahead(context: &mut Context, sequence: &mut Sequence, tokens: &[u32]) -> Result<()> {
    let greedy = Choice { place: 0, top_k: 1, temperature: 1.0, top_p: 1.0, min_p: 0.0, unit: 0.0 };
    let mut results = Results::default();
    for at in 0..tokens.len() {
        let token = if at == 0 { tokens[0] } else { chosen_at(0) };
        let logits = LogitsFor::Choice(greedy);
        context.submit(&mut [SequenceInput { sequence: &mut *sequence, tokens: &[token], logits }])?;
        if at > 0 {
            context.collect(&mut results)?;
        }
    }
    if !tokens.is_empty() {
        context.collect(&mut results)?;
    }
    Ok(())
}

/// Mean and standard deviation.
fn statistics(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let square: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (square / (n - 1.0)).sqrt() } else { 0.0 })
}

fn row(
    test: &Test,
    context: &Context,
    info: &turbo_model::ModelInfo,
    samples_ns: Vec<u64>,
    bandwidth: f64,
    load_seconds: f64,
) -> Row {
    let tokens = (test.prompt + test.generate) as f64;
    let samples_ts: Vec<f64> = samples_ns.iter().map(|&ns| tokens / (ns as f64 * 1e-9)).collect();
    let (avg_ts, stddev_ts) = statistics(&samples_ts);
    let (avg_ns, stddev_ns) = statistics(&samples_ns.iter().map(|&ns| ns as f64).collect::<Vec<_>>());
    let kv = context.kv().bytes_per_token();
    let weights: u64 = info.tensor_types.iter().map(|t| t.bytes).sum();
    let filled = test.depth as f64 + test.generate as f64 / 2.0;
    let bytes_per_token = (test.generate > 0).then_some(weights as f64 + kv * filled);
    let gb_per_s = bytes_per_token.map(|bytes| bytes * avg_ts * 1e-9);
    let memory = context.memory_use();
    let device = context.device();
    let kind = info.file_type.clone().unwrap_or_default();
    Row {
        model_filename: context.model().file.path().to_string(),
        model_type: format!("{} {} {kind}", info.architecture, print::parameters(info.parameters))
            .trim_end()
            .to_owned(),
        model_size: weights,
        model_n_params: info.parameters,
        backends: if device.name == "cpu" { "CPU" } else { "wgpu" }.to_owned(),
        gpu_info: if device.name == "cpu" {
            device.description
        } else {
            format!("{} {}", device.name, device.description)
        },
        n_threads: std::thread::available_parallelism().map_or(1, usize::from),
        n_batch: context.max_batch_tokens(),
        type_k: test.types.k.to_string(),
        type_v: test.types.v.to_string(),
        n_prompt: test.prompt,
        n_gen: test.generate,
        n_depth: test.depth,
        avg_ns,
        stddev_ns,
        avg_ts,
        stddev_ts,
        samples_ns,
        samples_ts,
        kv_bytes_per_token: kv,
        bytes_per_token,
        gb_per_s,
        bandwidth_gb_per_s: bandwidth,
        share_of_bandwidth: gb_per_s.map(|rate| rate / bandwidth),
        load_seconds,
        memory_weights: memory.map(|memory| memory.weights),
        memory_kv: context.kv().bytes(),
        memory_working: memory.map(|memory| memory.working),
        memory_peak: memory.map(|memory| memory.peak),
        memory_by_driver: memory.and_then(|memory| memory.driver),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_spread() {
        assert_eq!(statistics(&[2.0, 4.0, 6.0]), (4.0, 2.0));
        assert_eq!(statistics(&[3.0]), (3.0, 0.0));
    }
}
