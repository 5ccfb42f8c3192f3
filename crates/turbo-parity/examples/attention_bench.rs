//! Compares the variants of decode attention with the CPU's result, then times them.
//!
//! `attention_bench [--device NAME] [--keys N] [--heads H] [--group G] [--only K/V] [--filter TEXT] [--bias]
//! [--spans N,..] [--parity]`: one sequence with one query token, H K/V heads of 128 (8) with G query heads each (5), stored without a
//! key bias with `--bias` (which then is in the time of the query codes). Times are of dispatches that wait
//! for each other in one pass, as in a model: whole calls, then each kernel repeated alone.
//! `--spans` are chunks that a workgroup takes (1). Other variants of attention_combine are timed with the first of
//! attention_decode.
//! `--parity` runs the parity cases of the labels with TEXT instead.

#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::time::{Duration, Instant};

use turbo_gpu::attention::decode::{Stage, Variants};
use turbo_gpu::{Gpu, GpuOptions, find};
use turbo_parity::attention::{Case, Problem, Rotation, Uploaded};
use turbo_parity::{Effort, run};
use turbo_quant::KvType;
use turbo_wgsl::attention as kernels;

/// Calls of one submission.
const CALLS: usize = 64;
/// Submissions on their way at once, that one measurement takes the time of.
const SUBMITS: usize = 8;
/// How long the device works right before it is timed: its clock falls within moments of idleness.
const BUSY: Duration = Duration::from_millis(200);
/// Measurements that the median is taken of.
const ROUNDS: usize = 5;

type Failure = Box<dyn std::error::Error>;

/// Sizes of the problem.
#[derive(Clone, Copy)]
struct Size {
    keys: usize,
    kv_heads: usize,
    group: usize,
    bias: bool,
}

/// A pair of types with its values on the device.
struct Pair {
    k: KvType,
    v: KvType,
    problem: Problem,
    on: Uploaded,
    want: Vec<f32>,
}

/// What is timed.
struct Entry {
    pair: usize,
    variants: Variants,
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Pair {
    fn new(gpu: &Gpu, k: KvType, v: KvType, size: Size) -> Result<Self, Failure> {
        let key_bias = size.bias.then(|| Rotation::new(128));
        let case = Case { kv_heads: size.kv_heads, group: size.group, key_bias, ..Case::new(k, v, size.keys) };
        let problem = Problem::new(&case).ok_or_else(|| format!("k_{k},v_{v} cannot store heads of 128 values"))?;
        let on = problem.upload(gpu)?;
        let want = problem.of_twin();
        Ok(Self { k, v, problem, on, want })
    }

    /// The variants that take part, each with the spans that are worth a look; those that do not are said.
    fn entries(&self, gpu: &Gpu, pair: usize, filter: &str, spans: &[u32]) -> Result<Vec<Entry>, Failure> {
        let chosen = self.problem.variants(gpu)?;
        let name = format!("k_{},v_{}", self.k, self.v);
        let coded = kernels::attention_decode::KERNEL.variants.iter();
        let all = coded.chain(kernels::attention_decode_f16::KERNEL.variants);
        let mut entries = Vec::new();
        for decode in all.filter(|x| x.name.starts_with(&name) && x.label.contains(filter)) {
            if let Some(unmet) = gpu.capabilities().unmet(decode) {
                println!("{}: not run: {unmet}", decode.label);
                continue;
            }
            for span_chunks in spans {
                entries.push(Entry { pair, variants: Variants { decode, span_chunks: *span_chunks, ..chosen } });
            }
        }
        let first = entries.first().map_or(chosen, |entry| entry.variants);
        let values = format!("v_{}", self.v);
        let named = |x: &&turbo_wgsl::Variant| x.name.starts_with(&values) && x.name != chosen.combine.name;
        for combine in kernels::attention_combine::KERNEL.variants.iter().filter(named) {
            if gpu.capabilities().unmet(combine).is_none() {
                entries.push(Entry { pair, variants: Variants { combine, ..first } });
            }
        }
        Ok(entries)
    }

    /// Runs once and says how the result compares with the CPU's. Compiles the pipelines.
    fn check(&self, gpu: &Gpu, variants: &Variants) -> Result<String, Failure> {
        self.submit(gpu, variants, 1)?;
        let got = self.problem.result(gpu, &self.on)?;
        if self.k.is_coded() && self.v.is_coded() {
            let differ = got.iter().zip(&self.want).filter(|(g, w)| g.to_bits() != w.to_bits()).count();
            return Ok(format!("{differ} of {} values differ", self.want.len()));
        }
        let square = |x: f32| f64::from(x).powi(2);
        let error: f64 = got.iter().zip(&self.want).map(|(g, w)| square(g - w)).sum();
        Ok(format!("nmse {:.1e}", error / self.want.iter().map(|&w| square(w)).sum::<f64>()))
    }

    fn submit(&self, gpu: &Gpu, variants: &Variants, calls: usize) -> Result<(), Failure> {
        let mut recorder = gpu.recorder("bench");
        for _ in 0..calls {
            self.problem.call(&self.on).record_with(&mut recorder, variants)?;
        }
        recorder.submit()?;
        Ok(())
    }

    /// Microseconds of one round of `stages`, each dispatch waiting for the one before, on a busy device.
    fn time(&self, gpu: &Gpu, variants: &Variants, stages: &[Stage]) -> Result<f64, Failure> {
        let round = || -> Result<f64, Failure> {
            let mut recorders = Vec::new();
            for _ in 0..SUBMITS {
                let mut recorder = gpu.recorder("bench");
                for _ in 0..CALLS {
                    for &stage in stages {
                        self.problem.call(&self.on).record_stage(&mut recorder, variants, stage)?;
                    }
                }
                recorders.push(recorder);
            }
            gpu.wait()?;
            let started = Instant::now();
            for recorder in recorders {
                recorder.submit()?;
            }
            gpu.wait()?;
            Ok(started.elapsed().as_secs_f64() * 1e6 / (CALLS * SUBMITS) as f64)
        };
        let started = Instant::now();
        while started.elapsed() < BUSY {
            round()?;
        }
        Ok(median((0..ROUNDS).map(|_| round()).collect::<Result<_, _>>()?))
    }
}

fn parity(gpu: &Gpu, filter: &str) -> Result<(), Failure> {
    run(gpu, Effort::Quick, Some(filter), |row| {
        let (why, first) = (row.not_run.as_deref().unwrap_or_default(), &row.first);
        println!(
            "{}[{}] {} cases, {} vectors, {} mismatches, {:?} {:?} {:.1} s {why} {first:?}",
            row.kernel, row.variant, row.cases, row.vectors, row.mismatches, row.nmse, row.verdict, row.seconds
        );
    })?;
    Ok(())
}

/// The pairs to time: `--only turbo4/q8_0`, or some that matter.
fn pairs(only: Option<&str>) -> Result<Vec<(KvType, KvType)>, Failure> {
    use KvType::{F16, Q8_0, Turbo3, Turbo4};
    let Some(only) = only else {
        return Ok(vec![(Turbo4, Turbo4), (Q8_0, Q8_0), (Turbo3, Turbo3), (Q8_0, Turbo3), (F16, F16)]);
    };
    let (k, v) = only.split_once('/').ok_or_else(|| format!("--only {only}: expected two types, as in turbo4/q8_0"))?;
    Ok(vec![(k.parse()?, v.parse()?)])
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let adapter = find(&value("--device").unwrap_or("auto".to_owned()))?;
    let gpu = Gpu::open(&adapter, &GpuOptions::default())?;
    println!("{}", gpu.description());
    let filter = value("--filter").unwrap_or_default();
    if args.iter().any(|a| a == "--parity") {
        return parity(&gpu, &filter);
    }
    let number = |name: &str, other: usize| value(name).map_or(Ok(other), |x| x.parse());
    let bias = args.iter().any(|a| a == "--bias");
    let size =
        Size { keys: number("--keys", 32768)?, kv_heads: number("--heads", 8)?, group: number("--group", 5)?, bias };
    let spans = value("--spans").unwrap_or("1".to_owned());
    let spans = spans.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let (mut on_device, mut entries) = (Vec::new(), Vec::new());
    for (k, v) in pairs(value("--only").as_deref())? {
        let pair = Pair::new(&gpu, k, v, size)?;
        let own = pair.entries(&gpu, on_device.len(), &filter, &spans)?;
        for Entry { variants, .. } in &own {
            println!("{} {}: {}", variants.decode.label, variants.combine.name, pair.check(&gpu, variants)?);
        }
        entries.extend(own);
        on_device.push(pair);
    }
    let Size { keys, kv_heads, group, .. } = size;
    for pass in 1..=2 {
        println!(
            "pass {pass}: {keys} keys, {} on {kv_heads} heads, us a call: all, codes, decode, combine",
            group * kv_heads
        );
        for Entry { pair, variants } in &entries {
            let pair = &on_device[*pair];
            let time = |stages: &[Stage]| pair.time(&gpu, variants, stages);
            let all = time(&[Stage::Codes, Stage::Decode, Stage::Combine])?;
            let codes = if variants.codes.is_some() { time(&[Stage::Codes])? } else { 0.0 };
            let decode = time(&[Stage::Decode])?;
            let combine = time(&[Stage::Combine])?;
            println!(
                "{} {} span {}: {all:.1} = {codes:.1} + {decode:.1} ({:.0} GB/s) + {combine:.1}",
                variants.decode.name,
                variants.combine.name,
                variants.span_chunks,
                pair.problem.cache_bytes() as f64 / decode / 1000.0,
            );
        }
    }
    Ok(())
}
