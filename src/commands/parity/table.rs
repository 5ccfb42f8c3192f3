//! What `parity` prints for people.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table};
use turbo_parity::{Row, Verdict};

use crate::ui;

/// Sums over rows.
#[derive(Default)]
struct Sum {
    variants: u64,
    ran: u64,
    failed: u64,
    cases: u64,
    vectors: u64,
    mismatches: u64,
    nmse: Option<f64>,
}

impl Sum {
    fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut sum = Self::default();
        for row in rows {
            sum.variants += 1;
            sum.ran += u64::from(row.verdict != Verdict::NotRun);
            sum.failed += u64::from(row.verdict == Verdict::Fail);
            sum.cases += row.cases;
            sum.vectors += row.vectors;
            sum.mismatches += row.mismatches;
            // The worst of them.
            sum.nmse = [sum.nmse, row.nmse].into_iter().flatten().reduce(f64::max);
        }
        sum
    }

    fn verdict(&self) -> Verdict {
        match (self.failed, self.ran) {
            (0, 0) => Verdict::NotRun,
            (0, _) => Verdict::Ok,
            _ => Verdict::Fail,
        }
    }
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Fail => "FAIL",
        Verdict::NotRun => "not run",
    }
    .to_owned()
}

fn nmse(nmse: Option<f64>) -> String {
    nmse.map_or_else(String::new, |nmse| format!("{nmse:.1e}"))
}

/// Aligns the columns from `first` to `last` to the right.
fn align(table: &mut Table, first: usize, last: usize) {
    for column in table.column_iter_mut().take(last + 1).skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// One line for every kernel.
pub(super) fn kernels(rows: &[Row]) -> Table {
    let mut table =
        ui::table(&["kernel", "class", "variants", "cases", "vectors", "mismatches", "NMSE to float64", "verdict"]);
    for rows in rows.chunk_by(|a, b| a.kernel == b.kernel) {
        let sum = Sum::of(rows);
        table.add_row([
            rows[0].kernel.clone(),
            rows[0].class.to_owned(),
            if sum.ran == sum.variants { sum.ran.to_string() } else { format!("{} of {}", sum.ran, sum.variants) },
            sum.cases.to_string(),
            sum.vectors.to_string(),
            mismatches(rows[0].class, sum.mismatches),
            nmse(sum.nmse),
            word(sum.verdict()),
        ]);
    }
    align(&mut table, 2, 6);
    table
}

/// One line for every variant.
pub(super) fn variants(rows: &[Row]) -> Table {
    let heads =
        ["kernel", "variant", "class", "cases", "vectors", "mismatches", "NMSE to float64", "seconds", "verdict"];
    let mut table = ui::table(&heads);
    for row in rows {
        table.add_row([
            row.kernel.clone(),
            row.variant.to_owned(),
            row.class.to_owned(),
            row.cases.to_string(),
            row.vectors.to_string(),
            mismatches(row.class, row.mismatches),
            nmse(row.nmse),
            format!("{:.1}", row.seconds),
            word(row.verdict),
        ]);
    }
    align(&mut table, 3, 7);
    table
}

/// Bounded kernels are not compared to the bit.
fn mismatches(class: &str, count: u64) -> String {
    if class == "exact" || count > 0 { count.to_string() } else { String::new() }
}

/// Why variants were not run: how many for each reason, or all of them by name.
pub(super) fn notes(rows: &[Row], verbose: bool) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows {
        if let Some(reason) = &row.not_run {
            reasons.entry(reason).or_default().push(format!("{}[{}]", row.kernel, row.variant));
        }
    }
    let line = |(reason, labels): (&str, Vec<String>)| {
        let count = ui::count(labels.len() as u64, "variant", "variants");
        let list = if verbose { format!(": {}", labels.join(" ")) } else { String::new() };
        format!("not run: {count}, {reason}{list}")
    };
    reasons.into_iter().map(line).collect()
}

/// The result in a sentence.
pub(super) fn total(rows: &[Row], seconds: f64) -> String {
    let sum = Sum::of(rows);
    let counts = format!(
        "{}, {}, {}, {} in {seconds:.1} s",
        ui::count(sum.ran, "variant", "variants"),
        ui::count(sum.cases, "case", "cases"),
        ui::count(sum.vectors, "vector", "vectors"),
        ui::count(sum.mismatches, "mismatch", "mismatches"),
    );
    match sum.verdict() {
        Verdict::Ok => format!("{counts}: this device computes what the CPU computes."),
        Verdict::Fail => format!("{counts}: {}.", ui::count(sum.failed, "variant FAILS", "variants FAIL")),
        Verdict::NotRun => format!("{counts}: nothing was compared."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kernel: &str, variant: &'static str, verdict: Verdict) -> Row {
        let ran = verdict != Verdict::NotRun;
        Row {
            kernel: kernel.into(),
            variant,
            class: "exact",
            cases: u64::from(ran) * 2,
            vectors: u64::from(ran) * 100,
            mismatches: u64::from(verdict == Verdict::Fail),
            nmse: None,
            bound: None,
            verdict,
            not_run: (!ran).then(|| "it has no subgroup operations".into()),
            error: None,
            first: None,
            seconds: 0.0,
        }
    }

    /// The cells of a table's lines that start with `kernel`.
    fn cells(table: &Table, kernel: &str) -> Vec<String> {
        let text = table.to_string();
        let line = text.lines().find(|line| line.trim_start().starts_with(kernel)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn variants_of_a_kernel_are_summed_up() {
        let rows = [
            row("kv/rotate", "n16", Verdict::Ok),
            row("kv/rotate", "n16,subgroup", Verdict::NotRun),
            row("kv/kv_encode", "turbo4", Verdict::Ok),
            row("kv/kv_encode", "turbo3", Verdict::Fail),
        ];
        let table = kernels(&rows);
        assert_eq!(cells(&table, "kv/rotate"), ["kv/rotate", "exact", "1", "of", "2", "2", "100", "0", "ok"]);
        assert_eq!(cells(&table, "kv/kv_encode"), ["kv/kv_encode", "exact", "2", "4", "200", "1", "FAIL"]);
        let all = variants(&rows).to_string();
        assert!(all.contains("n16,subgroup") && all.contains("not run"), "{all}");
        assert_eq!(notes(&rows, false), ["not run: 1 variant, it has no subgroup operations"]);
        assert_eq!(notes(&rows, true), ["not run: 1 variant, it has no subgroup operations: kv/rotate[n16,subgroup]"]);
        assert_eq!(total(&rows, 1.25), "3 variants, 6 cases, 300 vectors, 1 mismatch in 1.2 s: 1 variant FAILS.");
        assert!(total(&rows[..1], 1.0).ends_with(": this device computes what the CPU computes."));
        assert!(total(&rows[1..2], 1.0).ends_with(": nothing was compared."));
    }
}
