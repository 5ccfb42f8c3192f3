//! `turbo-wgpu show`

use std::io::Write;

use anyhow::Result;
use turbo_gguf::GgufFile;
use turbo_model::ModelInfo;
use turbo_quant::KvType;
use turbo_runtime::{KvPoolSpec, KvTypes};

use crate::cli::ShowArgs;
use crate::{source, ui};

/// Prints what a model file holds.
pub(crate) fn run(args: &ShowArgs) -> Result<()> {
    let file = source::open_file(args.model.as_deref())?;
    let info = turbo_model::describe(&file)?;
    let kv = kv_sizes(&file, args.context.context, &info)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json(&file, &info, &kv))?;
        return Ok(());
    }
    print_tables(&mut out, &file, &info, &kv)
}

/// Bytes of KV cache at one context size, by type.
struct KvSizes {
    tokens: usize,
    by_type: Vec<(KvType, u64)>,
}

/// The sizes, or the reason why the model cannot be run.
type KvResult = Result<KvSizes, String>;

fn kv_sizes(file: &GgufFile, tokens: Option<usize>, info: &ModelInfo) -> Result<KvResult> {
    if !info.supported {
        let known = turbo_model::supported_architectures().join(", ");
        return Ok(Err(format!("architecture {} cannot be run: supported are {known}", info.architecture)));
    }
    let plan = turbo_model::build_plan(file)?;
    let tokens = tokens.unwrap_or(plan.context_length);
    let size = |t| KvPoolSpec::new(&plan.kv, KvTypes { k: t, v: t }, tokens).map(|pool| (t, pool.bytes()));
    let by_type = KvType::ALL.into_iter().map(size).collect::<Result<_, _>>()?;
    Ok(Ok(KvSizes { tokens, by_type }))
}

fn json(file: &GgufFile, info: &ModelInfo, kv: &KvResult) -> serde_json::Value {
    let types = info
        .tensor_types
        .iter()
        .map(|t| serde_json::json!({ "type": t.name, "tensors": t.tensors, "values": t.values, "bytes": t.bytes }));
    let kv = match kv {
        Ok(kv) => {
            let bytes: serde_json::Map<_, _> =
                kv.by_type.iter().map(|(t, bytes)| (t.name().to_owned(), (*bytes).into())).collect();
            serde_json::json!({ "context": kv.tokens, "bytes": bytes })
        }
        Err(reason) => serde_json::json!({ "error": reason }),
    };
    serde_json::json!({
        "file": file.path(),
        "gguf_version": file.version(),
        "architecture": info.architecture,
        "supported": info.supported,
        "name": info.name,
        "size_label": info.size_label,
        "file_type": info.file_type,
        "parameters": info.parameters,
        "file_bytes": info.file_bytes,
        "layers": info.n_layers,
        "d_model": info.d_model,
        "heads": info.n_heads.as_ref().map(ToString::to_string),
        "kv_heads": info.n_kv_heads.as_ref().map(ToString::to_string),
        "head_dim_k": info.head_dim_k,
        "head_dim_v": info.head_dim_v,
        "d_ff": info.d_ff.as_ref().map(ToString::to_string),
        "context_length": info.context_length,
        "vocabulary": info.n_vocab,
        "experts": info.n_experts,
        "rope": info.rope,
        "tensor_types": types.collect::<Vec<_>>(),
        "kv_cache": kv,
    })
}

fn print_tables(out: &mut impl Write, file: &GgufFile, info: &ModelInfo, kv: &KvResult) -> Result<()> {
    let mut model = ui::table(&[]);
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            model.add_row([name.to_owned(), value]);
        }
    };
    let number = |n: Option<u64>| n.map(|n| n.to_string());
    row("file", Some(format!("{} ({}, GGUF v{})", file.path(), ui::bytes(info.file_bytes), file.version())));
    row("name", info.name.clone());
    row("architecture", Some(info.architecture.clone()));
    row("parameters", Some(format!("{:.1} M", info.parameters as f64 / 1e6)));
    row("file type", info.file_type.clone());
    row("layers", number(info.n_layers));
    row("width", number(info.d_model));
    row("heads", info.n_heads.as_ref().map(ToString::to_string));
    row("KV heads", info.n_kv_heads.as_ref().map(ToString::to_string));
    row("head size K, V", info.head_dim_k.zip(info.head_dim_v).map(|(k, v)| format!("{k}, {v}")));
    row("feed-forward", info.d_ff.as_ref().map(ToString::to_string));
    row("experts", number(info.n_experts));
    row("rope", info.rope.clone());
    row("context", number(info.context_length));
    row("vocabulary", number(info.n_vocab));
    writeln!(out, "{model}\n")?;
    let mut types = ui::table(&["tensor type", "tensors", "values", "size"]);
    for t in &info.tensor_types {
        types.add_row([t.name.clone(), t.tensors.to_string(), t.values.to_string(), ui::bytes(t.bytes)]);
    }
    writeln!(out, "{types}\n")?;
    match kv {
        Err(reason) => writeln!(out, "{reason}")?,
        Ok(kv) => {
            let mut sizes = ui::table(&["KV cache", "size", "share of f16"]);
            let f16 = kv.by_type[0].1 as f64;
            for (t, bytes) in &kv.by_type {
                sizes.add_row([t.to_string(), ui::bytes(*bytes), format!("1/{:.2}", f16 / *bytes as f64)]);
            }
            writeln!(out, "KV cache of {} tokens\n{sizes}", kv.tokens)?;
        }
    }
    Ok(())
}
