//! Attention of one query token over one sequence: its kernels one by one, and all together.

use turbo_backend::CHUNK_TOKENS;
use turbo_gpu::attention::decode::Variants;
use turbo_parity::attention::{Case, Problem, Uploaded};
use turbo_quant::KvType;
use turbo_wgsl::{KERNELS, Kernel, Variant, attention as kernels};

use crate::bench::{Bench, Subject};
use crate::count::{AttentionCount, Count};
use crate::error::BenchError;

/// The types that are measured, each on both sides.
const TYPES: [KvType; 6] = [KvType::Turbo4, KvType::Turbo3, KvType::Turbo2, KvType::Q8_0, KvType::Q4_0, KvType::F16];

pub(crate) fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    for kv_type in TYPES {
        pair(bench, kv_type)?;
    }
    Ok(())
}

/// What is measured of a pair of types: the dispatch of one kernel, or all.
struct Part {
    subject: Subject,
    variants: Variants,
}

/// The kernel that `variant` is one of.
fn kernel_of(variant: &'static Variant) -> Option<&'static Kernel> {
    KERNELS.iter().copied().find(|kernel| kernel.has(variant))
}

/// The rows of a pair, by what `count` says of them.
fn parts(bench: &Bench<'_>, chosen: Variants, kv_type: KvType, count: &AttentionCount<'_>, shape: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |mut subject: Subject, variants: Variants, count: Count| {
        subject.set(count);
        subject.shape = shape.to_owned();
        if bench.options.wants(&subject.label()) {
            parts.push(Part { subject, variants });
        }
    };
    if let Some((variant, kernel)) = chosen.codes.and_then(|v| Some((v, kernel_of(v)?))) {
        add(Subject::of(kernel, variant), chosen, count.codes());
    }
    let decodes =
        if kv_type.is_coded() { &kernels::attention_decode::KERNEL } else { &kernels::attention_decode_f16::KERNEL };
    for decode in bench.variants(decodes, &format!("k_{kv_type},v_{kv_type}"), chosen.decode) {
        add(Subject::of(decodes, decode), Variants { decode, ..chosen }, count.decode());
    }
    if let Some(kernel) = kernel_of(chosen.combine) {
        add(Subject::of(kernel, chosen.combine), chosen, count.combine());
    }
    let (kernel, variant) = ("attention".to_owned(), format!("{kv_type}/{kv_type}"));
    let whole = Subject { kernel, variant, only: None, shape: String::new(), bytes: 0, ops: 0 };
    add(whole, chosen, count.whole());
    parts
}

fn pair(bench: &mut Bench<'_>, kv_type: KvType) -> Result<(), BenchError> {
    let (gpu, options) = (bench.gpu, bench.options);
    let (keys, group) = (options.effective_keys(), options.heads / options.kv_heads);
    let case = Case { kv_heads: options.kv_heads, group, ..Case::new(kv_type, kv_type, keys) };
    // Heads of 128 values fit every type.
    let Ok(layer) = case.layer() else { return Ok(()) };
    let chosen = Variants::choose(gpu, &layer, group as u32)?;
    let count = AttentionCount {
        k: &layer.k,
        v: &layer.v,
        cache_bytes: layer.block_bytes() * keys / turbo_backend::BLOCK_TOKENS,
        keys,
        chunks: keys.div_ceil(CHUNK_TOKENS),
        rows: options.heads,
    };
    let shape =
        format!("{keys} keys, {} heads on {} K/V heads of {}", options.heads, options.kv_heads, layer.k.head_dim);
    let parts = parts(bench, chosen, kv_type, &count, &shape);
    if parts.is_empty() {
        return Ok(());
    }
    let Some(problem) = Problem::new(&case) else { return Ok(()) };
    let on = problem.upload(gpu)?;
    run_once(bench, &problem, &on, &chosen)?;
    for Part { subject, variants } in parts {
        bench.measure(subject, |recorder| problem.call(&on).record_with(recorder, &variants))?;
    }
    Ok(())
}

/// Fills what the kernels hand on, so that each can then run by itself.
fn run_once(bench: &Bench<'_>, problem: &Problem, on: &Uploaded, variants: &Variants) -> Result<(), BenchError> {
    let mut recorder = bench.gpu.recorder("bench");
    problem.call(on).record_with(&mut recorder, variants)?;
    recorder.submit()?;
    Ok(())
}
