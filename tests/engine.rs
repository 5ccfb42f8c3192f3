//! Whole models on every GPU of this machine, software ones included, against the CPU.

use std::sync::{Arc, mpsc};

use turbo_cpu::CpuBackend;
use turbo_gguf::GgufFile;
use turbo_gpu::{Adapter, GpuBackend, GpuOptions, usable_adapters};
use turbo_runtime::sampling::argmax;
use turbo_runtime::{
    Backend, Context, ContextOptions, Event, GenerateRequest, KvTypes, LogitsFor, Model, Runtime, SamplingParams,
    Sequence, SequenceInput,
};
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
    // How near a tie is where they may differ. A last bit of difference moves a value of K or V to another 4-bit level now
    // and then, which is a thousandth of its group's energy: logits of this model then differ by tenths.
    let kinds = [(KvTypes::default(), 0.02), (TURBO4, 0.25)];
    for ((types, tie), gpu) in kinds.into_iter().flat_map(|kind| gpus().into_iter().map(move |gpu| (kind, gpu))) {
        let (mut cpu, mut other) = (on_cpu(&model, types, 256), on_gpu(&model, &gpu, types, 256));
        for prompt in prompts {
            let mut tokens = model.prompt_tokens(prompt);
            let (mut here, mut there) = (Sequence::default(), Sequence::default());
            for step in 0..12 {
                let (want, got) = (last(&mut cpu, &mut here, &tokens), last(&mut other, &mut there, &tokens));
                let (best, found) = (argmax(&want).expect("finite"), argmax(&got).expect("finite"));
                let gap = want[best as usize] - want[found as usize];
                assert!(gap < tie, "{}: step {step} of {prompt:?}: {found}, not {best}, {gap} apart", gpu.description);
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
fn quantised_weights_agree_with_the_cpu() {
    let ids: Vec<u32> = (0..40).map(|i| (i * 37 + 5) % 500).collect();
    for name in ["Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_XS"] {
        let Some(path) = shared(&format!("fixtures/quant_models/qwen3.{name}.gguf")) else { return };
        let model = Arc::new(Model::open(&path).expect("a fixture"));
        let types = KvTypes::default();
        let want = last(&mut on_cpu(&model, types, 64), &mut Sequence::default(), &ids);
        for gpu in gpus() {
            let got = last(&mut on_gpu(&model, &gpu, types, 64), &mut Sequence::default(), &ids);
            let error = nmse(&got, &want);
            assert!(error < 1e-5, "{name} on {}: NMSE {error:e}", gpu.description);
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

/// The built-in model with other bytes in the tensor `name`, which `change` is given with the bytes of a row.
fn changed(name: &str, change: impl Fn(&mut [u8], usize)) -> Arc<Model> {
    let path = workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf");
    let mut bytes = std::fs::read(&path).expect("the built-in model is in the repository");
    let file = GgufFile::open(&path).expect("it opens");
    let tensor = file.tensor(name).expect("the tensor is there");
    let data = file.data(tensor).expect("it is inside the file").to_vec();
    let at = bytes.windows(data.len()).position(|window| window == data).expect("its bytes are in the file");
    let rows = tensor.shape.get(1).map_or(1, |&rows| rows as usize);
    change(&mut bytes[at..at + data.len()], data.len() / rows);
    Arc::new(Model::from_static("changed", bytes.leak()).expect("still a model"))
}

/// The error of running `tokens`.
fn refused(context: &mut Context, sequence: &mut Sequence, tokens: &[u32]) -> String {
    let result = context.extend(sequence, tokens, LogitsFor::Last, &mut |_| {});
    result.expect_err("something is not finite").to_string()
}

#[test]
fn a_token_without_finite_keys_is_refused_and_the_next_request_works() {
    // The embedding of this token is infinite: the factor of its q4_K or q6_K blocks is.
    let odd = 77;
    let model = changed("token_embd.weight", |bytes, row| {
        for byte in &mut bytes[odd * row..][..row] {
            *byte = 0x7c;
        }
    });
    for (types, gpu) in [KvTypes::default(), TURBO4].into_iter().flat_map(|t| gpus().into_iter().map(move |g| (t, g))) {
        let mut context = on_gpu(&model, &gpu, types, 256);
        let mut sequence = Sequence::default();
        let mut before = last(&mut context, &mut sequence, &[5, 6, 7]);
        let message = refused(&mut context, &mut sequence, &[8, 9, odd as u32, 10]);
        let start = "layer 0, position 5: K ";
        assert!(message.starts_with(start) && message.ends_with("; the token was not stored"), "{message}");
        assert_eq!(sequence.len(), 3, "the sequence is as long as before");
        let mut other = Sequence::default();
        let mut after = last(&mut context, &mut other, &[5, 6, 7]);
        // The logits come from the same matrix: the odd token's own is not finite.
        (before[odd], after[odd]) = (0.0, 0.0);
        assert!(after == before, "{types:?} on {}", gpu.description);
    }
}

#[test]
fn keys_values_and_queries_that_are_not_finite_are_named_by_layer_and_position() {
    let infinite = |bytes: &mut [u8], _: usize| bytes[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let factor = |bytes: &mut [u8], row: usize| {
        // The factors of the blocks of the first row, wherever the type has them.
        for byte in &mut bytes[..row] {
            *byte = 0x7c;
        }
    };
    let cases = [
        ("K", 3, changed("blk.3.attn_k_norm.weight", infinite)),
        ("V", 2, changed("blk.2.attn_v.weight", factor)),
        ("Q", 5, changed("blk.5.attn_q_norm.weight", infinite)),
    ];
    for gpu in gpus() {
        for (side, layer, model) in &cases {
            // Attention over f16 keys takes queries as they are: only codes of queries are looked at.
            let all = [TURBO4, KvTypes::default()];
            for &types in if *side == "Q" { &all[..1] } else { &all } {
                let mut context = on_gpu(model, &gpu, types, 256);
                // The words that say so are clear again the second time.
                for _ in 0..2 {
                    let message = refused(&mut context, &mut Sequence::default(), &[5, 6, 7]);
                    let start = format!("layer {layer}, position 0: {side} ");
                    assert!(message.starts_with(&start), "{types:?} on {}: {message}", gpu.description);
                }
            }
        }
    }
}

#[test]
fn a_lost_gpu_ends_every_generation() {
    for gpu in gpus() {
        let backend = GpuBackend::open(&gpu, &GpuOptions::default()).expect("the adapter opens");
        let runtime = Runtime::start(context(&built_in(), &backend, TURBO4, 2048)).expect("a thread");
        let start = || {
            let (sender, events) = mpsc::channel();
            let request = GenerateRequest {
                prompt: vec![5, 6, 7],
                ignore_eos: true,
                sampling: SamplingParams::greedy(),
                ..GenerateRequest::default()
            };
            runtime.generate(request, Box::new(move |event| sender.send(event).is_ok())).map(|_| events)
        };
        let running: Vec<_> = (0..2).map(|_| start().expect("it runs")).collect();
        running[0].iter().find(|event| matches!(event, Event::Token { .. })).expect("a token");
        backend.gpu().destroy();
        for events in &running {
            match events.iter().find(|event| !matches!(event, Event::Started { .. } | Event::Token { .. })) {
                Some(Event::Failed { message }) => {
                    assert!(message.starts_with(&format!("{} was lost: ", gpu.description.name)), "{message}");
                }
                end => panic!("{end:?} on {}", gpu.description),
            }
        }
        assert!(runtime.stopped().is_some());
        assert!(start().expect_err("refused").to_string().starts_with("the engine has stopped: "));
    }
}

#[test]
fn what_a_model_needs_is_known_before_it_is_loaded() {
    let model = built_in();
    for gpu in gpus() {
        for (types, tokens) in [(KvTypes::default(), 1024), (TURBO4, 8192)] {
            let backend = GpuBackend::open(&gpu, &GpuOptions::default()).expect("the adapter opens");
            let mut context = context(&model, &backend, types, tokens);
            let needs = backend.memory_needs(&model.plan, &model.file, context.kv()).expect("it can be loaded");
            let needs = needs.expect("GPUs know");
            let found = context.memory_use().expect("GPUs count");
            assert_eq!((found.weights, found.kv), (needs.weights, context.kv().bytes()), "{}", gpu.description);
            assert!(found.working <= needs.working, "{found:?}, expected {needs:?}");
            // Once it has worked on as much as it can, nothing more is taken than was said.
            let mut sequence = Sequence::default();
            last(&mut context, &mut sequence, &[5; 40]);
            last(&mut context, &mut sequence, &[5]);
            let found = context.memory_use().expect("GPUs count");
            assert!(found.working <= needs.working, "{found:?}, expected {needs:?}");
            assert!(found.peak >= found.weights + found.kv + found.working, "{found:?}");
        }
    }
}
