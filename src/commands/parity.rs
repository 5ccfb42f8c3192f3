//! `turbo-wgpu parity`

mod report;
mod table;

use std::io::Write;
use std::time::Instant;

use anyhow::{Result, bail};
use turbo_gpu::{Adapter, Gpu};
use turbo_parity::{Effort, Row, Verdict};

use crate::cli::ParityArgs;
use crate::{gpu, ui};

/// Compares the GPU kernels with their CPU twins.
pub(crate) fn run(args: &ParityArgs) -> Result<()> {
    let labels = turbo_parity::labels(args.only.as_deref());
    if labels.is_empty() {
        let name = |kernel: &turbo_wgsl::Kernel| format!("{}/{}", kernel.family, kernel.name);
        let kernels: Vec<String> = turbo_parity::ALL.iter().map(|parity| name(parity.kernel())).collect();
        let only = args.only.as_deref().unwrap_or_default();
        bail!("no variant contains {only:?}: the kernels are {}", kernels.join(", "));
    }
    let adapters = gpu::choose_several(&args.device, "parity")?;
    let mut results = Vec::new();
    let mut failures = Vec::new();
    for adapter in &adapters {
        let (rows, failure) = compare(args, adapter, &labels)?;
        results.push(report::json(&adapter.description, &rows));
        failures.extend(failure);
    }
    if args.json {
        // An array only where several devices may be meant, whatever their number.
        let text =
            if args.device == "all" { serde_json::to_string(&results) } else { serde_json::to_string(&results[0]) };
        writeln!(std::io::stdout().lock(), "{}", text?)?;
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("; "));
    }
    Ok(())
}

/// Runs all cases on one device, prints its table, and says what failed, if anything.
fn compare(args: &ParityArgs, adapter: &Adapter, labels: &[&'static str]) -> Result<(Vec<Row>, Option<String>)> {
    let device = &adapter.description;
    let opened = gpu::open(adapter, &args.device)?;
    let effort = if args.quick { Effort::Quick } else { Effort::Full };
    if effort == Effort::Full && device.kind == "software" {
        eprintln!("         a software adapter takes long for all of this; --quick tries less");
    }
    let started = Instant::now();
    let (rows, lost) = try_all(args, &opened, effort, labels);
    let seconds = started.elapsed().as_secs_f64();
    if !args.json {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", if args.verbose { table::variants(&rows) } else { table::kernels(&rows) })?;
        for line in table::notes(&rows, args.verbose) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{}", table::total(&rows, seconds))?;
    }
    let failed: Vec<&Row> = rows.iter().filter(|row| row.verdict == Verdict::Fail).collect();
    if let Some(first) = failed.first() {
        eprintln!("\n{}", report::mismatch(device, opened.params_mode(), args.quick, first));
    }
    let failure = report::failure(device, &failed).or_else(|| lost.map(|error| error.to_string()));
    Ok((rows, failure))
}

/// The rows of all variants up to the loss of the device, and that loss.
fn try_all(
    args: &ParityArgs,
    gpu: &Gpu,
    effort: Effort,
    labels: &[&'static str],
) -> (Vec<Row>, Option<turbo_gpu::GpuError>) {
    let bar = ui::progress(true, labels.len() as u64, labels[0]);
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let mut rows = Vec::new();
    let result = turbo_parity::run(gpu, effort, args.only.as_deref(), |row| {
        rows.push(row.clone());
        bar.inc(1);
        if let Some(label) = labels.get(rows.len()) {
            bar.set_message(*label);
        }
    });
    bar.finish_and_clear();
    (rows, result.err())
}
