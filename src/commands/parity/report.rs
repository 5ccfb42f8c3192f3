//! What `parity` prints for programs, and for reporting a failure.

use std::fmt::Write as _;

use serde::Serialize;
use turbo_gpu::Description;
use turbo_parity::{Row, Verdict};
use turbo_wgsl::ParamsMode;

use crate::ui;

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
    let failed = ui::count(count as u64, "variant", "variants");
    Some(format!("{device} fails {failed}: {}{rest}", labels.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fake;
    use turbo_parity::Outcome;

    fn device() -> Description {
        fake::gpu(1, "Some GPU", "metal", "integrated GPU")
    }

    fn row() -> Row {
        Row {
            kernel: "kv/rotate".into(),
            variant: "n64",
            class: "exact",
            cases: 4,
            vectors: 100,
            mismatches: 2,
            nmse: None,
            bound: None,
            verdict: Verdict::Fail,
            not_run: None,
            error: None,
            first: Some(Outcome {
                case: "head_dim 64, 10 heads".into(),
                index: 7,
                got: 0x3f80_0001,
                want: 0x3f80_0000,
            }),
            seconds: 0.5,
        }
    }

    #[test]
    fn a_mismatch_is_reported_with_all_that_is_needed_to_see_it_again() {
        let version = env!("CARGO_PKG_VERSION");
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        assert_eq!(
            mismatch(&device(), ParamsMode::Uniform, true, &row()),
            format!(
                "kv/rotate[n64]: 2 of 100 vectors differ from the CPU's\n  \
                 version   turbo-wgpu {version} on {os} {arch}\n  \
                 device    1: Some GPU (metal, integrated GPU)\n  \
                 driver    Driver 7\n  \
                 uses      params as uniforms, subgroups 8 to 32\n  \
                 case      head_dim 64, 10 heads\n  \
                 value     number 7 of the output\n  \
                 expected  0x3f800000 (as f32 1.0)\n  \
                 got       0x3f800001 (as f32 1.0000001)\n  \
                 again     turbo-wgpu parity --device 1 --only 'kv/rotate[n64]' --quick\n\
                 This should not happen. Please report it with the lines above: {}/issues",
                env!("CARGO_PKG_REPOSITORY")
            )
        );
    }

    #[test]
    fn a_broken_bound_and_a_failing_device_are_named() {
        let bounded = Row { nmse: Some(2.5e-4), bound: Some(1e-6), class: "bounded", mismatches: 0, ..row() };
        assert_eq!(reason(&bounded), "error 2.50e-4 (NMSE against float64), at most 1e-6 is promised");
        let failed = Row { error: Some("Some GPU failed: no".into()), ..row() };
        assert_eq!(reason(&failed), "Some GPU failed: no");
    }

    #[test]
    fn failures_decide_the_status_in_one_line() {
        assert_eq!(failure(&device(), &[]), None);
        let row = row();
        assert_eq!(
            failure(&device(), &[&row]).as_deref(),
            Some("1: Some GPU (metal, integrated GPU) fails 1 variant: kv/rotate[n64]")
        );
        let many = failure(&device(), &[&row; 10]).unwrap();
        assert!(many.contains("fails 10 variants: ") && many.ends_with(" and 2 more"), "{many}");
    }

    #[test]
    fn json_has_exactly_the_documented_fields_of_what_was_run() {
        let skipped = Row { verdict: Verdict::NotRun, not_run: Some("it has no f16 in shaders".into()), ..row() };
        let json = serde_json::to_value(json(&device(), &[row(), skipped])).unwrap();
        let entry = serde_json::json!({
            "kernel": "kv/rotate", "variant": "n64", "class": "exact", "cases": 4, "vectors": 100, "mismatches": 2,
            "nmse": null,
        });
        assert_eq!(json, serde_json::json!({ "device": "Some GPU (metal)", "kernels": [entry] }));
    }
}
