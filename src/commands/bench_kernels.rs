//! `turbo-wgpu bench-kernels`

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use turbo_bench::{BenchOptions, BenchReport, BenchRow, Clock};

use crate::cli::BenchKernelsArgs;
use crate::{gpu, ui};

/// Times the GPU kernels.
pub(crate) fn run(args: &BenchKernelsArgs) -> Result<()> {
    let adapter = gpu::choose(&args.device, "bench-kernels")?;
    let opened = gpu::open(&adapter, &args.device)?;
    if adapter.description.kind == "software" && !args.quick {
        eprintln!("         this takes long on a software adapter; --quick takes about a minute");
    }
    let options = BenchOptions {
        keys: args.keys,
        quick: args.quick,
        all_variants: args.verbose,
        filter: args.only.clone(),
        ..BenchOptions::default()
    };
    let started = Instant::now();
    let spinner = ui::spinner("bandwidth");
    spinner.enable_steady_tick(Duration::from_millis(200));
    let report = turbo_bench::run(&opened, &options, |row| {
        spinner.inc(1);
        spinner.set_message(format!("after {}", label(row)));
    })?;
    spinner.finish_and_clear();
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
        return Ok(());
    }
    writeln!(out, "{}", table(&report.rows))?;
    writeln!(out, "{}", summary(&report, started.elapsed()))?;
    Ok(())
}

fn label(row: &BenchRow) -> String {
    if row.variant.is_empty() { row.kernel.clone() } else { format!("{}[{}]", row.kernel, row.variant) }
}

fn table(rows: &[BenchRow]) -> Table {
    let mut table = ui::table(&["kernel", "variant", "shape", "us", "+-", "bytes", "GB/s", "of bandwidth", "Gop/s"]);
    for row in rows {
        table.add_row([
            row.kernel.clone(),
            row.variant.clone(),
            row.shape.clone(),
            format!("{:.1}", row.microseconds),
            percent(row.spread),
            ui::bytes(row.bytes),
            format!("{:.1}", row.gb_per_s),
            percent(row.share_of_bandwidth),
            format!("{:.0}", row.ops as f64 / row.microseconds / 1e3),
        ]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn summary(report: &BenchReport, took: Duration) -> String {
    let clock = match report.clock {
        Clock::Gpu => "times by the device's clock",
        Clock::Wall => "times by the clock of the CPU, for the device has none: too long by the submissions",
    };
    format!(
        "bandwidth {:.1} GB/s as measured by bench/stream; {clock}; median, and the distance of the quartiles; {:.1} s",
        report.bandwidth_gb_per_s,
        took.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_rates() {
        let row = BenchRow {
            kernel: "kv/kv_encode".into(),
            variant: "turbo4,whole32".into(),
            shape: "1 token".into(),
            microseconds: 2.0,
            spread: 0.05,
            samples: 20,
            repetitions: 100,
            bytes: 4096,
            gb_per_s: 2.048,
            share_of_bandwidth: 0.5,
            ops: 20_000,
        };
        let text = table(std::slice::from_ref(&row)).to_string();
        for part in ["kv/kv_encode", "turbo4,whole32", "2.0", "5%", "4.0 KiB", "50%", " 10 "] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let report = BenchReport { device: "GPU".into(), clock: Clock::Wall, bandwidth_gb_per_s: 4.0, rows: vec![row] };
        assert!(summary(&report, Duration::from_secs(3)).contains("for the device has none"));
    }
}
