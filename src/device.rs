//! Choosing the device and setting up a model on it.

use std::sync::Arc;

use anyhow::Result;
use turbo_cpu::CpuBackend;
use turbo_gpu::{GpuBackend, GpuOptions};
use turbo_runtime::{Backend, Context, ContextOptions, KvTypes, Model};

use crate::cli::ModelArgs;
use crate::ui;

/// The backend that `--device` names: the CPU, or a GPU as [`turbo_gpu::find`] reads it.
pub(crate) fn choose(name: &str, threads: Option<u16>) -> Result<Box<dyn Backend>> {
    if ["auto", "cpu"].iter().any(|cpu| name.eq_ignore_ascii_case(cpu)) {
        return Ok(Box::new(CpuBackend::new(threads.map(usize::from))));
    }
    let adapter = turbo_gpu::find(name)?;
    let options = GpuOptions { cache_dir: turbo_gpu::default_cache_dir(), ..GpuOptions::default() };
    Ok(Box::new(GpuBackend::open(&adapter, &options)?))
}

/// Loads `model` with the cache that the flags ask for; `tokens` is the size of its context.
pub(crate) fn load(model: Arc<Model>, args: &ModelArgs, types: KvTypes, tokens: Option<usize>) -> Result<Context> {
    let backend = choose(&args.device, args.threads)?;
    let bar = ui::progress(true, 1, "loading");
    let context = Context::new(model, &*backend, ContextOptions { types, tokens }, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    Ok(context)
}

/// Says on standard error what runs where and what its cache takes.
pub(crate) fn announce(context: &Context, device_flag: &str) {
    let model = context.model();
    let chosen = if device_flag == "auto" { "auto: " } else { "" };
    eprintln!("model    {} ({}, {})", model.name, model.plan.architecture, ui::bytes(model.file.file_bytes()));
    eprintln!("device   {chosen}{} ({})", context.device().name, context.device().description);
    let kv = context.kv();
    eprintln!(
        "context  {} tokens, KV cache {}/{} {}",
        context.tokens(),
        context.types().k,
        context.types().v,
        ui::bytes(kv.bytes()),
    );
    for (slot, reason) in &kv.kept_f16 {
        eprintln!("         layer {slot} stays at f16: {reason}");
    }
}
