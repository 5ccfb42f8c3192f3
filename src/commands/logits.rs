//! `turbo-wgpu logits`

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use turbo_runtime::sampling::{argmax, log_sum_exp};
use turbo_runtime::{KvTypes, LogitsFor, Sequence};

use crate::cli::LogitsArgs;
use crate::{device, source};

/// What is reported of a run over given tokens.
#[derive(Default, serde::Serialize)]
struct Report {
    /// Most likely next token at every position.
    argmax: Vec<u32>,
    /// All logits at the last position.
    logits_last: Vec<f32>,
    /// ln p(token i + 1 | tokens 0..=i), one less than there are tokens.
    logprob_next: Vec<f64>,
}

/// Prints the logits of given token ids.
pub(crate) fn run(args: &LogitsArgs) -> Result<()> {
    let ids = match &args.ids_file {
        Some(path) => read_ids(path)?,
        None => args.ids.clone(),
    };
    if ids.is_empty() {
        bail!("there are no token ids: give at least one with --ids or --ids-file");
    }
    let model = source::open(args.model.model.as_deref())?;
    model.check_tokens(&ids)?;
    let types = KvTypes { k: args.model.ctk, v: args.model.ctv };
    let device = device::choose(&args.model.device, args.model.threads)?;
    let mut context = device.load(model, types, Some(ids.len()))?;
    let mut report = Report::default();
    context.extend(&mut Sequence::default(), &ids, LogitsFor::All, &mut |row| {
        // A row without a finite logit has no best token; 0 keeps the positions aligned, and its logits tell.
        report.argmax.push(argmax(row).unwrap_or(0));
        if let Some(&next) = ids.get(report.argmax.len()) {
            report.logprob_next.push(f64::from(row[next as usize]) - log_sum_exp(row));
        } else {
            report.logits_last = row.to_vec();
        }
    })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    print_table(&mut out, &context, &ids, &report)
}

fn print_table(out: &mut impl Write, context: &turbo_runtime::Context, ids: &[u32], report: &Report) -> Result<()> {
    let tokenizer = &context.model().tokenizer;
    let text = |id: u32| format!("{:?}", tokenizer.decode(&[id], true));
    writeln!(out, "position  token                 best next             ln p(actual next)")?;
    for (i, &id) in ids.iter().enumerate() {
        let next = report.logprob_next.get(i).map_or_else(String::new, |lp| format!("{lp:.4}"));
        writeln!(out, "{i:>8}  {:<20}  {:<20}  {next}", text(id), text(report.argmax[i]))?;
    }
    let mut order: Vec<usize> = (0..report.logits_last.len()).collect();
    order.sort_by(|&a, &b| report.logits_last[b].total_cmp(&report.logits_last[a]));
    writeln!(out, "\nlargest logits at the last position")?;
    for &id in order.iter().take(10) {
        writeln!(out, "{:>8.3}  {id:>7}  {}", report.logits_last[id], text(id as u32))?;
    }
    Ok(())
}

fn read_ids(path: &Path) -> Result<Vec<u32>> {
    let name = path.display();
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("standard input is not readable as text")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("{name} cannot be read as text"))?;
    }
    let separator = |c: char| c.is_whitespace() || c == ',' || c == '[' || c == ']';
    let parse = |word: &str| {
        word.parse::<u32>()
            .with_context(|| format!("{name}: {word:?} is not a token id (a number from 0 to 4294967295)"))
    };
    text.split(separator).filter(|word| !word.is_empty()).map(parse).collect()
}
