//! Times the variants of decode attention on a GPU and compares their bits with the CPU's.
//!
//! `attention_bench [--device NAME] [--keys N] [--filter TEXT] [--parity]`: one sequence, 40 query heads on 8 K/V heads
//! of 128.

#![allow(clippy::print_stdout, reason = "a bench prints its results")]

use turbo_gpu::attention::decode::Variants;
use turbo_gpu::{Gpu, GpuOptions, find};
use turbo_parity::attention::{Case, Problem};
use turbo_parity::{Effort, run};
use turbo_quant::KvType;
use turbo_wgsl::attention as kernels;

const ROUNDS: usize = 30;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Microseconds of the dispatches whose label starts with `kernel`.
fn of(times: &[(&'static str, f64)], kernel: &str) -> f64 {
    median(times.iter().filter(|(label, _)| label.starts_with(kernel)).map(|(_, ns)| ns / 1000.0).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let adapter = find(&value("--device").unwrap_or("auto".to_owned()))?;
    let gpu = Gpu::open(&adapter, &GpuOptions::default())?;
    println!("{}", gpu.description());
    let filter = value("--filter").unwrap_or_default();
    if args.iter().any(|a| a == "--parity") {
        run(&gpu, Effort::Quick, Some(&filter), |row| {
            let (why, first) = (row.not_run.as_deref().unwrap_or_default(), &row.first);
            println!(
                "{}[{}] {} cases, {} vectors, {} mismatches, {:?} {:?} {:.1} s {why} {first:?}",
                row.kernel, row.variant, row.cases, row.vectors, row.mismatches, row.nmse, row.verdict, row.seconds
            );
        })?;
        return Ok(());
    }
    let keys = value("--keys").and_then(|k| k.parse().ok()).unwrap_or(32768);
    for (k, v) in [(KvType::Turbo4, KvType::Turbo4), (KvType::Q8_0, KvType::Q8_0), (KvType::F16, KvType::F16)] {
        let case = Case { kv_heads: 8, group: 5, ..Case::new(k, v, keys) };
        let Some(problem) = Problem::new(&case) else { continue };
        let want = problem.of_twin();
        let chosen = problem.variants(&gpu)?;
        let pair = format!("k_{k},v_{v}");
        let coded = kernels::attention_decode::KERNEL.variants.iter();
        let all = coded.chain(kernels::attention_decode_f16::KERNEL.variants);
        for variant in all.filter(|x| x.name.starts_with(&pair) && x.label.contains(&filter)) {
            if let Some(unmet) = gpu.capabilities().unmet(variant) {
                println!("{}: not run: {unmet}", variant.label);
                continue;
            }
            let spans: &[u32] = if k == KvType::Turbo4 { &[1, 2, 4] } else { &[1] };
            for &span_chunks in spans {
                let variants = Variants { decode: variant, span_chunks, ..chosen };
                let on = problem.upload(&gpu)?;
                let mut recorder = gpu.recorder("bench").with_timing()?;
                for _ in 0..ROUNDS {
                    problem.call(&on).record_with(&mut recorder, &variants)?;
                }
                let times = recorder.submit_timed()?;
                let got = problem.result(&gpu, &on)?;
                let differ = got.iter().zip(&want).filter(|(g, w)| g.to_bits() != w.to_bits()).count();
                // Without timestamps between them.
                let mut recorder = gpu.recorder("bench");
                for _ in 0..ROUNDS {
                    problem.call(&on).record_with(&mut recorder, &variants)?;
                }
                recorder.submit()?;
                gpu.wait()?;
                let decode = of(&times, "attention_decode");
                println!(
                    "{} span {span_chunks}: decode {decode:.1} us ({:.0} GB/s), combine {:.1}, codes {:.1}; {differ} of {} differ",
                    variant.label,
                    problem.cache_bytes() as f64 / decode / 1000.0,
                    of(&times, "attention_combine"),
                    of(&times, "query_codes"),
                    want.len()
                );
            }
        }
    }
    Ok(())
}
