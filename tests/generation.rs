//! Generations on every GPU of this machine: tokens chosen on the device, one batch ahead of the host.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use turbo_gpu::{Adapter, GpuBackend, GpuOptions, usable_adapters};
use turbo_runtime::sampling::argmax;
use turbo_runtime::{
    Context, ContextOptions, Event, FinishReason, GenerateRequest, KvTypes, LogitsFor, Model, Runtime, SamplingParams,
    Sequence,
};
use turbo_testkit::{gpus_found, workspace};

fn built_in() -> Arc<Model> {
    let path = workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf");
    Arc::new(Model::open(&path).expect("the built-in model opens"))
}

fn context(model: &Arc<Model>, adapter: &Adapter) -> Context {
    let backend = GpuBackend::open(adapter, &GpuOptions::default()).expect("the adapter opens");
    // What is tested is who gets which token. Batches of other sizes add in another order: with coded caches a last bit may
    // become another code, and another token at a near tie.
    let options = ContextOptions { types: KvTypes::default(), tokens: Some(1024) };
    Context::new(Arc::clone(model), &backend, options, &mut |_, _| {}).expect("the model loads")
}

fn start(runtime: &Runtime, request: GenerateRequest) -> Receiver<Event> {
    let (sender, events) = channel();
    runtime.generate(request, Box::new(move |event| sender.send(event).is_ok())).expect("a valid request");
    events
}

/// Tokens and end of a generation.
fn wait(events: &Receiver<Event>) -> (Vec<u32>, FinishReason) {
    let mut ids = Vec::new();
    for event in events {
        match event {
            Event::Started { .. } => {}
            Event::Token { id, .. } => ids.push(id),
            Event::Finished { reason, .. } => return (ids, reason),
            Event::Failed { message } => panic!("failed: {message}"),
        }
    }
    panic!("no end of the generation");
}

fn request(model: &Model, prompt: &str, sampling: SamplingParams) -> GenerateRequest {
    GenerateRequest {
        prompt: model.prompt_tokens(prompt),
        max_tokens: Some(8),
        sampling,
        ignore_eos: true,
        ..GenerateRequest::default()
    }
}

#[test]
fn tokens_chosen_ahead_are_those_of_the_logits() {
    let model = built_in();
    for adapter in gpus_found(usable_adapters()) {
        let mut context = context(&model, &adapter);
        let mut sequence = Sequence::default();
        let mut tokens = model.prompt_tokens("Once upon a time there was");
        let mut want = Vec::new();
        for _ in 0..8 {
            let mut row = Vec::new();
            context.extend(&mut sequence, &tokens, LogitsFor::Last, &mut |logits| row = logits.to_vec()).expect("runs");
            tokens = vec![argmax(&row).expect("finite logits")];
            want.extend_from_slice(&tokens);
        }
        context.truncate(&mut sequence, 0);
        let runtime = Runtime::start(context).expect("a thread");
        let got = wait(&start(&runtime, request(&model, "Once upon a time there was", SamplingParams::greedy())));
        assert_eq!(got, (want, FinishReason::Length), "{}", adapter.description);
    }
}

#[test]
fn draws_on_the_device_are_those_of_the_host() {
    let model = built_in();
    for adapter in gpus_found(usable_adapters()) {
        let runtime = Runtime::start(context(&model, &adapter)).expect("a thread");
        for seed in 0..3 {
            let sampling = SamplingParams { seed: Some(seed), temperature: 1.2, ..SamplingParams::default() };
            let asked = request(&model, "The captain looked at the sea and", sampling);
            // Who wants log-probabilities gets all logits, and the host draws.
            let on_host = wait(&start(&runtime, GenerateRequest { logprobs: Some(1), ..asked.clone() }));
            assert_eq!(wait(&start(&runtime, asked)), on_host, "seed {seed} on {}", adapter.description);
        }
    }
}

#[test]
fn generations_of_all_kinds_together_are_what_each_is_alone() {
    let model = built_in();
    let kinds = [
        SamplingParams::greedy(),
        SamplingParams { seed: Some(1), ..SamplingParams::default() },
        // The host has to choose: penalties, and more candidates than devices look at.
        SamplingParams { repeat_penalty: 1.3, ..SamplingParams::greedy() },
        SamplingParams { seed: Some(2), top_k: 0, ..SamplingParams::default() },
    ];
    let prompts = ["It was a bright morning", "London in the winter", "He had never seen", "The horses"];
    for adapter in gpus_found(usable_adapters()) {
        let runtime = Runtime::start(context(&model, &adapter)).expect("a thread");
        let requests: Vec<_> = prompts.iter().zip(kinds.clone()).map(|(p, kind)| request(&model, p, kind)).collect();
        let alone: Vec<_> = requests.iter().map(|asked| wait(&start(&runtime, asked.clone()))).collect();
        let started: Vec<_> = requests.iter().map(|asked| start(&runtime, asked.clone())).collect();
        let together: Vec<_> = started.iter().map(wait).collect();
        assert_eq!(together, alone, "{}", adapter.description);
    }
}

#[test]
fn one_that_leaves_and_one_that_ends_do_not_disturb_the_others() {
    let model = built_in();
    for adapter in gpus_found(usable_adapters()) {
        let runtime = Runtime::start(context(&model, &adapter)).expect("a thread");
        let asked = request(&model, "My dear sir, said the old lady,", SamplingParams::greedy());
        let alone = wait(&start(&runtime, asked.clone()));
        let mut seen = 0;
        let leave = Box::new(move |event| {
            seen += usize::from(matches!(event, Event::Token { .. }));
            seen < 2
        });
        let long = GenerateRequest { max_tokens: Some(100), ..request(&model, "London", SamplingParams::greedy()) };
        let first = start(&runtime, asked.clone());
        runtime.generate(long, leave).expect("a valid request");
        let short = start(&runtime, GenerateRequest { max_tokens: Some(1), ..asked.clone() });
        assert_eq!(wait(&short), (alone.0[..1].to_vec(), FinishReason::Length), "{}", adapter.description);
        assert_eq!(wait(&first), alone, "{}", adapter.description);
        assert_eq!(wait(&start(&runtime, asked)), alone, "after the others, on {}", adapter.description);
    }
}
