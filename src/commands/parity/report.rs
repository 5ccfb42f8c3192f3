//! What `parity` prints for programs, and for reporting a failure.

use std::fmt::Write as _;

use serde::Serialize;
use turbo_gpu::Description;
use turbo_parity::{Row, Verdict};
use turbo_wgsl::ParamsMode;

/// The result of one device.
#[derive(Serialize)]
pub(super) struct DeviceReport {
    device: String,
    kernels: Vec<Entry>,
}

/// The result of one variant.
#[derive(Serialize)]
struct Entry {
    kernel: String,
    variant: &'static str,
    class: &'static str,
    cases: u64,
    vectors: u64,
    mismatches: u64,
    nmse: Option<f64>,
}

/// The variants that were run on `device`.
pub(super) fn json(device: &Description, rows: &[Row]) -> DeviceReport {
    let ran = rows.iter().filter(|row| row.verdict != Verdict::NotRun);
    let entry = |row: &Row| Entry {
        kernel: row.kernel.clone(),
        variant: row.variant,
        class: row.class,
        cases: row.cases,
        vectors: row.vectors,
        mismatches: row.mismatches,
        nmse: row.nmse,
    };
    DeviceReport { device: format!("{} ({})", device.name, device.backend), kernels: ran.map(entry).collect() }
}

fn label(row: &Row) -> String {
    if row.variant.is_empty() { row.kernel.clone() } else { format!("{}[{}]", row.kernel, row.variant) }
}

/// What went wrong in one row.
fn reason(row: &Row) -> String {
    match (&row.error, row.bound, row.nmse) {
        (Some(error), ..) => error.clone(),
        (None, Some(bound), Some(nmse)) => {
            format!("error {nmse:.2e} (NMSE against float64), at most {bound:.0e} is promised")
        }
        _ => format!("{} of {} vectors differ from the CPU's", row.mismatches, row.vectors),
    }
}

/// The first failure with everything that is needed to look into it.
pub(super) fn mismatch(device: &Description, params: ParamsMode, quick: bool, row: &Row) -> String {
    let mut text = format!("{}: {}\n", label(row), reason(row));
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    line("version", format!("turbo-wgpu {} on {os} {arch}", env!("CARGO_PKG_VERSION")));
    line("device", device.to_string());
    line("driver", device.driver.clone());
    let subgroups = device.capabilities.subgroup.map_or_else(|| "none".into(), |s| format!("{} to {}", s.min, s.max));
    let params = if params == ParamsMode::Immediate { "immediates" } else { "uniforms" };
    line("uses", format!("params as {params}, subgroups {subgroups}"));
    if let Some(first) = &row.first {
        line("case", first.case.clone());
        line("value", format!("number {} of the output", first.index));
        line("expected", bits(first.want));
        line("got", bits(first.got));
    }
    let quick = if quick { " --quick" } else { "" };
    line("again", format!("turbo-wgpu parity --device {} --only '{}'{quick}", device.index, label(row)));
    let _ = write!(
        text,
        "This should not happen. Please report it with the lines above: {}/issues",
        env!("CARGO_PKG_REPOSITORY")
    );
    text
}

fn bits(word: u32) -> String {
    format!("0x{word:08x} (as f32 {:?})", f32::from_bits(word))
}

/// The failure of a device in one line.
pub(super) fn failure(device: &Description, failed: &[&Row]) -> Option<String> {
    let mut labels: Vec<String> = failed.iter().map(|row| label(row)).collect();
    if labels.is_empty() {
        return None;
    }
    let count = labels.len();
    let rest = if count > 8 { format!(" and {} more", count - 8) } else { String::new() };
    labels.truncate(8);
    Some(format!("{device} fails {count} variant{}: {}{rest}", if count == 1 { "" } else { "s" }, labels.join(", ")))
}
