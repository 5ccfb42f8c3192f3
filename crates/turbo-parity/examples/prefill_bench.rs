//! Times prefill attention: `prefill_bench [--device NAME] [--tokens N] [--keys N,N] [--only K/V] [--filter TEXT]`.
//!
//! One sequence, its last N query tokens, 40 query heads on 8 K/V heads of 128. Results of coded pairs are compared with
//! the CPU's, bit by bit.

#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use std::time::{Duration, Instant};

use turbo_gpu::attention::prefill::{AttentionPrefill, Variants};
use turbo_gpu::{Gpu, GpuOptions, find};
use turbo_parity::attention::{Case, Problem, Uploaded};
use turbo_quant::KvType;
use turbo_wgsl::attention as kernels;

/// Calls that a median is taken of: more of short ones.
const ROUNDS: [usize; 2] = [50, 10];
/// Keys from which on calls are long.
const MANY_KEYS: usize = 4096;
/// How long the device works right before it is timed: its clock falls within moments of idleness.
const BUSY: Duration = Duration::from_millis(300);

type Failure = Box<dyn std::error::Error>;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Floating-point operations that are of use: two products with every visible key.
fn operations(case: &Case) -> f64 {
    let seen = |&(keys, tokens): &(usize, usize)| (0..tokens).map(|t| keys - t).sum::<usize>();
    let rows_keys = case.sequences.iter().map(seen).sum::<usize>() * case.kv_heads * case.group;
    4.0 * rows_keys as f64 * case.head_dim.0 as f64
}

/// Microseconds of the attention kernel and of query_codes.
fn time(gpu: &Gpu, problem: &Problem, on: &Uploaded, variants: &Variants, rounds: usize) -> Result<[f64; 2], Failure> {
    let call = AttentionPrefill { job: problem.call(on), key_bias: None };
    let mut recorder = gpu.recorder("bench").with_timing()?;
    for _ in 0..rounds {
        call.record_with(&mut recorder, variants)?;
    }
    let started = Instant::now();
    while started.elapsed() < BUSY {
        let mut busy = gpu.recorder("busy");
        for _ in 0..rounds {
            call.record_with(&mut busy, variants)?;
        }
        busy.submit()?;
        gpu.wait()?;
    }
    let times = recorder.submit_timed()?;
    let of = |name: &str| {
        median(times.iter().filter(|(label, _)| label.starts_with(name)).map(|(_, ns)| ns / 1e3).collect())
    };
    Ok([of("attention_prefill"), of("query_codes")])
}

fn pairs(only: Option<&str>) -> Result<Vec<(KvType, KvType)>, Failure> {
    use KvType::{F16, Q4_0, Q8_0, Turbo2, Turbo3, Turbo4};
    let Some(only) = only else {
        return Ok(vec![(Turbo4, Turbo4), (Q8_0, Q8_0), (F16, F16), (Q8_0, Turbo3), (Q4_0, Q4_0), (Turbo2, Turbo2)]);
    };
    let (k, v) = only.split_once('/').ok_or_else(|| format!("--only {only}: expected two types, as in turbo4/q8_0"))?;
    Ok(vec![(k.parse()?, v.parse()?)])
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let gpu = Gpu::open(&find(&value("--device").unwrap_or("auto".to_owned()))?, &GpuOptions::default())?;
    println!("{}", gpu.description());
    let filter = value("--filter").unwrap_or_default();
    let tokens: usize = value("--tokens").map_or(Ok(512), |t| t.parse())?;
    for keys in value("--keys").unwrap_or("512,8192,32768".to_owned()).split(',') {
        let keys: usize = keys.parse()?;
        for (k, v) in pairs(value("--only").as_deref())? {
            let case = Case { kv_heads: 8, group: 5, sequences: vec![(keys, tokens)], ..Case::new(k, v, keys) };
            let problem = Problem::new(&case).ok_or_else(|| format!("k_{k},v_{v} cannot store heads of 128 values"))?;
            let on = problem.upload(&gpu)?;
            let codes = problem.variants(&gpu)?.codes;
            let want = (k.is_coded() && v.is_coded()).then(|| problem.of_twin());
            let all = kernels::attention_prefill::KERNEL.variants.iter();
            let all = all.chain(kernels::attention_prefill_f16::KERNEL.variants);
            for prefill in all.filter(|x| x.name.starts_with(&format!("k_{k},v_{v}")) && x.label.contains(&filter)) {
                if let Some(unmet) = gpu.capabilities().unmet(prefill) {
                    println!("{}: not run: {unmet}", prefill.label);
                    continue;
                }
                let variants = Variants { prefill, codes };
                let [us, codes_us] = time(&gpu, &problem, &on, &variants, ROUNDS[usize::from(keys > MANY_KEYS)])?;
                let differ = match &want {
                    Some(want) => {
                        let got = problem.result(&gpu, &on)?;
                        let differ = got.iter().zip(want).filter(|(g, w)| g.to_bits() != w.to_bits()).count();
                        format!(", {differ} of {} values differ", want.len())
                    }
                    None => String::new(),
                };
                println!(
                    "{} {tokens} tokens over {keys} keys: {us:.0} us, {:.1} TFLOP/s, codes {codes_us:.0} us{differ}",
                    prefill.label,
                    operations(&case) / us / 1e6,
                );
            }
        }
    }
    Ok(())
}
