//! Whole models on every GPU of this machine, software ones included, against the CPU.

use std::sync::Arc;

use turbo_cpu::CpuBackend;
use turbo_gpu::{Adapter, GpuBackend, GpuOptions, usable_adapters};
use turbo_runtime::sampling::argmax;
use turbo_runtime::{Backend, Context, ContextOptions, KvTypes, LogitsFor, Model, Sequence, SequenceInput};
use turbo_testkit::{gpus_found, nmse, shared, workspace};

const TURBO4: KvTypes = KvTypes { k: turbo_quant::KvType::Turbo4, v: turbo_quant::KvType::Turbo4 };

fn gpus() -> Vec<Adapter> {
    gpus_found(usable_adapters())
}

fn built_in() -> Arc<Model> {
    let path = workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf");
    Arc::new(Model::open(&path).expect("the built-in model opens"))
}

fn context(model: &Arc<Model>, backend: &dyn Backend, types: KvTypes, tokens: usize) -> Context {
    let options = ContextOptions { types, tokens: Some(tokens) };
    Context::new(Arc::clone(model), backend, options, &mut |_, _| {}).expect("the model loads")
}

fn on_gpu(model: &Arc<Model>, adapter: &Adapter, types: KvTypes, tokens: usize) -> Context {
    let backend = GpuBackend::open(adapter, &GpuOptions::default()).expect("the adapter opens");
    context(model, &backend, types, tokens)
}

fn on_cpu(model: &Arc<Model>, types: KvTypes, tokens: usize) -> Context {
    context(model, &CpuBackend::new(None), types, tokens)
}

/// Logits of the last token.
fn last(context: &mut Context, sequence: &mut Sequence, tokens: &[u32]) -> Vec<f32> {
    let mut logits = Vec::new();
    context.extend(sequence, tokens, LogitsFor::Last, &mut |row| logits = row.to_vec()).expect("the batch runs");
    logits
}

#[test]
fn greedy_tokens_are_those_of_the_cpu() {
    let model = built_in();
    let prompts = ["The capital of France is", "Once upon a time there was a king who"];
    for (types, gpu) in [KvTypes::default(), TURBO4].into_iter().flat_map(|t| gpus().into_iter().map(move |g| (t, g))) {
        let (mut cpu, mut other) = (on_cpu(&model, types, 256), on_gpu(&model, &gpu, types, 256));
        for prompt in prompts {
            let mut tokens = model.prompt_tokens(prompt);
            let (mut here, mut there) = (Sequence::default(), Sequence::default());
            for step in 0..12 {
                let (want, got) = (last(&mut cpu, &mut here, &tokens), last(&mut other, &mut there, &tokens));
                let (best, found) = (argmax(&want).expect("finite"), argmax(&got).expect("finite"));
                let gap = want[best as usize] - want[found as usize];
                assert!(gap < 0.02, "{}: step {step} of {prompt:?}: {found}, not {best}, {gap} apart", gpu.description);
                tokens = vec![best];
            }
            cpu.truncate(&mut here, 0);
            other.truncate(&mut there, 0);
        }
    }
}

#[test]
fn architectures_and_float_weights_agree_with_the_cpu() {
    let ids: Vec<u32> = (0..40).map(|i| (i * 37 + 5) % 500).collect();
    for name in ["llama", "mistral", "qwen2", "qwen3"] {
        let Some(path) = shared(&format!("fixtures/arch/{name}.f16.gguf")) else { return };
        let model = Arc::new(Model::open(&path).expect("a fixture"));
        for types in [KvTypes::default(), TURBO4] {
            let want = last(&mut on_cpu(&model, types, 64), &mut Sequence::default(), &ids);
            for gpu in gpus() {
                let got = last(&mut on_gpu(&model, &gpu, types, 64), &mut Sequence::default(), &ids);
                let error = nmse(&got, &want);
                assert!(error < 1e-4, "{name} {types:?} on {}: NMSE {error:e}", gpu.description);
            }
        }
    }
}

#[test]
fn sequences_together_give_what_each_gives_alone() {
    let model = built_in();
    for gpu in gpus() {
        let mut context = on_gpu(&model, &gpu, TURBO4, 2048);
        let prompts: Vec<Vec<u32>> = (1..=8_u32).map(|n| (0..3 * n).map(|i| 100 + 17 * n + i).collect()).collect();
        let alone: Vec<Vec<f32>> = prompts
            .iter()
            .map(|prompt| {
                let mut sequence = Sequence::default();
                last(&mut context, &mut sequence, &prompt[..prompt.len() - 1]);
                let logits = last(&mut context, &mut sequence, &prompt[prompt.len() - 1..]);
                context.truncate(&mut sequence, 0);
                logits
            })
            .collect();
        let mut sequences: Vec<Sequence> = prompts.iter().map(|_| Sequence::default()).collect();
        for (sequence, prompt) in sequences.iter_mut().zip(&prompts) {
            last(&mut context, sequence, &prompt[..prompt.len() - 1]);
        }
        let mut inputs: Vec<SequenceInput<'_>> = sequences
            .iter_mut()
            .zip(&prompts)
            .map(|(sequence, prompt)| {
                let tokens = &prompt[prompt.len() - 1..];
                SequenceInput { sequence, tokens, logits: LogitsFor::Last }
            })
            .collect();
        let mut logits = Vec::new();
        context.forward(&mut inputs, &mut logits).expect("the batch runs");
        for (row, want) in logits.chunks_exact(model.plan.n_vocab).zip(&alone) {
            let error = nmse(row, want);
            assert_eq!(argmax(row), argmax(want), "{}: NMSE {error:e}", gpu.description);
            assert!(error < 1e-8, "{}: NMSE {error:e}", gpu.description);
        }
    }
}
