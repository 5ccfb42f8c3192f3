//! Results of `bench` as tables, Markdown and CSV.

use anyhow::Result;
use comfy_table::{CellAlignment, Table};

use super::Row;
use crate::ui;

/// A number of parameters for people: `14.77 B`.
pub(super) fn parameters(n: u64) -> String {
    match n as f64 {
        n if n >= 1e9 => format!("{:.2} B", n / 1e9),
        n => format!("{:.1} M", n / 1e6),
    }
}

const HEADER: [&str; 10] =
    ["model", "size", "params", "backend", "KV", "test", "tokens/s", "read per token", "GB/s", "of bandwidth"];

fn cells(row: &Row) -> [String; 10] {
    let mut test = if row.n_gen > 0 { format!("tg{}", row.n_gen) } else { format!("pp{}", row.n_prompt) };
    if row.n_depth > 0 {
        test = format!("{test} @ d{}", row.n_depth);
    }
    [
        row.model_type.clone(),
        ui::bytes(row.model_size),
        parameters(row.model_n_params),
        row.backends.clone(),
        format!("{}/{}", row.type_k, row.type_v),
        test,
        format!("{:.2} ± {:.2}", row.avg_ts, row.stddev_ts),
        row.bytes_per_token.map_or_else(String::new, |bytes| ui::bytes(bytes as u64)),
        row.gb_per_s.map_or_else(String::new, |rate| format!("{rate:.1}")),
        row.share_of_bandwidth.map_or_else(String::new, |share| format!("{:.0}%", share * 100.0)),
    ]
}

/// The device, and what it can read.
fn footer(row: &Row) -> String {
    format!("{}, bandwidth measured {:.1} GB/s", row.gpu_info, row.bandwidth_gb_per_s)
}

/// For a terminal, with the device under it.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table: Table = ui::table(&HEADER);
    for row in rows {
        table.add_row(cells(row));
    }
    for column in table.column_iter_mut().skip(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}{}", rows.first().map_or_else(String::new, |row| format!("\n{}", footer(row))))
}

/// A Markdown table.
pub(super) fn markdown(rows: &[Row]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&HEADER.map(str::to_owned));
    text += "| --- | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |\n";
    rows.iter().for_each(|row| text += &line(&cells(row)));
    if let Some(row) = rows.first() {
        text += &format!("\n{}\n", footer(row));
    }
    text
}

/// One line per test, with llama-bench's keys as the heading; the samples are left out.
pub(super) fn csv(rows: &[Row]) -> Result<String> {
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let value = serde_json::to_value(row)?;
        let fields = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_array());
        let (keys, values): (Vec<_>, Vec<_>) = fields.unzip();
        if index == 0 {
            text += &keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(",");
            text.push('\n');
        }
        let quoted = values.iter().map(|value| match value {
            serde_json::Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        });
        text += &quoted.collect::<Vec<_>>().join(",");
        text.push('\n');
    }
    Ok(text)
}
