//! `turbo-wgpu tokenize`

use std::io::{Read, Write};

use anyhow::{Context as _, Result};
use turbo_text::{EncodeOptions, Tokenizer};

use crate::cli::TokenizeArgs;
use crate::source;

/// Prints the token ids of a text.
pub(crate) fn run(args: &TokenizeArgs) -> Result<()> {
    let file = source::open_file(args.model.as_deref())?;
    let tokenizer = Tokenizer::from_gguf(&file)?;
    let mut text = args.text.clone();
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text).context("standard input is not readable as UTF-8 text")?;
    }
    let options = EncodeOptions { add_special: args.add_special, parse_special: args.parse_special };
    let ids = tokenizer.encode(&text, options);
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "ids": ids }))?;
        return Ok(());
    }
    for id in &ids {
        writeln!(out, "{id:>7}  {:?}", tokenizer.decode(&[*id], true))?;
    }
    writeln!(out, "{} tokens", ids.len())?;
    Ok(())
}
