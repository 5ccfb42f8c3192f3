//! The engine thread with the real CPU backend and the built-in model.

use std::sync::{Arc, mpsc};

use turbo_cpu::CpuBackend;
use turbo_quant::KvType;
use turbo_runtime::{
    Context, ContextOptions, Event, FinishReason, GenerateRequest, KvTypes, Model, Runtime, SamplingParams, Usage,
};
use turbo_testkit::workspace;

fn model() -> Arc<Model> {
    let path = workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf");
    Arc::new(Model::open(&path).expect("the built-in model opens"))
}

fn runtime(model: &Arc<Model>, tokens: usize) -> Runtime {
    let types = KvTypes { k: KvType::Turbo4, v: KvType::Turbo3 };
    let options = ContextOptions { types, tokens: Some(tokens) };
    let context = Context::new(Arc::clone(model), &CpuBackend::new(Some(2)), options, &mut |_, _| {});
    Runtime::start(context.expect("the context fits")).expect("a thread")
}

/// The end of a generation.
#[derive(Debug, PartialEq)]
struct Outcome {
    ids: Vec<u32>,
    text: String,
    reason: FinishReason,
    usage: Usage,
}

fn start(runtime: &Runtime, request: GenerateRequest) -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel();
    runtime.generate(request, Box::new(move |event| sender.send(event).is_ok())).expect("a valid request");
    events
}

fn wait(events: mpsc::Receiver<Event>) -> Outcome {
    let (mut ids, mut text) = (Vec::new(), String::new());
    for event in events {
        match event {
            Event::Started { .. } => {}
            Event::Token { id, text: piece, .. } => {
                ids.push(id);
                text.push_str(&piece);
            }
            Event::Finished { text: rest, reason, usage, .. } => {
                text.push_str(&rest);
                return Outcome { ids, text, reason, usage };
            }
            Event::Failed { message } => panic!("failed: {message}"),
        }
    }
    panic!("no end of the generation");
}

fn request(model: &Model, prompt: &str, max_tokens: usize, seed: u64) -> GenerateRequest {
    GenerateRequest {
        prompt: model.prompt_tokens(prompt),
        max_tokens: Some(max_tokens),
        sampling: SamplingParams { seed: Some(seed), ..SamplingParams::default() },
        ..GenerateRequest::default()
    }
}

const PROMPTS: [&str; 8] = [
    "It was a bright morning",
    "The captain looked at the sea and",
    "\"My dear sir,\" said the old lady,",
    "London in the winter",
    "He had never seen",
    "There was a knock at the door, and presently",
    "Of all the gentlemen of her acquaintance, none",
    "The horses",
];

#[test]
fn together_each_generation_is_what_it_is_alone() {
    let model = model();
    let make = |i: usize| GenerateRequest { ignore_eos: true, ..request(&model, PROMPTS[i], 24, i as u64) };
    let alone: Vec<Outcome> = (0..8).map(|i| wait(start(&runtime(&model, 1024), make(i)))).collect();
    let shared = runtime(&model, 1024);
    let events: Vec<_> = (0..8).map(|i| start(&shared, make(i))).collect();
    let together: Vec<Outcome> = events.into_iter().map(wait).collect();
    assert_eq!(together, alone);
}

#[test]
fn a_cache_too_small_for_all_makes_some_wait_but_changes_nothing() {
    let model = model();
    let make = |i: usize| GenerateRequest { ignore_eos: true, ..request(&model, PROMPTS[i], 100, i as u64) };
    let alone: Vec<Outcome> = (0..4).map(|i| wait(start(&runtime(&model, 256), make(i)))).collect();
    let shared = runtime(&model, 256);
    let events: Vec<_> = (0..4).map(|i| start(&shared, make(i))).collect();
    let together: Vec<Outcome> = events.into_iter().map(wait).collect();
    for (together, alone) in together.iter().zip(&alone) {
        assert_eq!((&together.ids, together.reason), (&alone.ids, alone.reason));
        assert_eq!(together.ids.len(), 100);
    }
}

#[test]
fn a_continued_prompt_comes_from_the_cache() {
    let model = model();
    let runtime = runtime(&model, 1024);
    let long = "It was a bright morning and nothing happened in the village. ".repeat(12);
    let first = wait(start(&runtime, request(&model, &long, 8, 1)));
    assert_eq!(first.usage.cached_tokens, 0);
    let again = wait(start(&runtime, request(&model, &long, 8, 1)));
    assert_eq!(again.usage.cached_tokens, again.usage.prompt_tokens - 1, "all but the last token");
    assert_eq!((again.ids, again.text), (first.ids, first.text));
    let longer = wait(start(&runtime, request(&model, &format!("{long}Then the door opened"), 8, 1)));
    assert!(longer.usage.cached_tokens + 10 >= first.usage.prompt_tokens, "{:?}", longer.usage);
}

#[test]
fn a_caller_that_has_gone_ends_its_generation_only() {
    let model = model();
    let runtime = runtime(&model, 1024);
    let (sender, ended) = mpsc::channel();
    let mut seen = 0;
    let gone = GenerateRequest { ignore_eos: true, ..request(&model, PROMPTS[0], 900, 1) };
    let sink = move |event| {
        if let Event::Finished { reason, usage, .. } = event {
            sender.send((reason, usage.completion_tokens)).expect("the test waits");
        }
        seen += 1;
        seen < 4
    };
    runtime.generate(gone, Box::new(sink)).expect("a valid request");
    let other = start(&runtime, request(&model, PROMPTS[1], 8, 2));
    assert_eq!(ended.recv(), Ok((FinishReason::Cancelled, 3)));
    assert_eq!(wait(other).reason, FinishReason::Length);
}

#[test]
fn cancel_stop_texts_and_limits_end_a_generation() {
    let model = model();
    let runtime = runtime(&model, 1024);
    let (sender, events) = mpsc::channel();
    let endless = GenerateRequest { ignore_eos: true, ..request(&model, PROMPTS[0], 900, 1) };
    let id = runtime.generate(endless, Box::new(move |event| sender.send(event).is_ok())).expect("a valid request");
    runtime.cancel(id);
    assert_eq!(wait(events).reason, FinishReason::Cancelled);

    let plain = wait(start(&runtime, request(&model, PROMPTS[2], 40, 5)));
    let stop: String = plain.text.chars().skip(12).take(6).collect();
    let stopped = GenerateRequest { stop: vec![stop.clone()], ..request(&model, PROMPTS[2], 40, 5) };
    let stopped = wait(start(&runtime, stopped));
    assert_eq!(stopped.reason, FinishReason::Stop);
    assert_eq!(Some(stopped.text.as_str()), plain.text.split(&stop).next());

    let full = GenerateRequest { max_tokens: None, ignore_eos: true, ..request(&model, PROMPTS[3], 1, 1) };
    let full = wait(start(&self::runtime(&model, 64), full));
    assert_eq!((full.reason, full.usage.prompt_tokens + full.ids.len()), (FinishReason::Length, 64));
}

#[test]
fn requests_that_cannot_work_are_refused_at_once() {
    let model = model();
    let runtime = runtime(&model, 64);
    let refuse = |request| runtime.generate(request, Box::new(|_| true)).expect_err("invalid").to_string();
    assert_eq!(refuse(GenerateRequest::default()), "the prompt is empty: it has no tokens");
    assert_eq!(
        refuse(GenerateRequest { prompt: vec![5; 64], ..GenerateRequest::default() }),
        "the prompt has 64 tokens, the context holds 64 (prompt and answer together): shorten the prompt or start with \
         a larger context (-c)"
    );
    assert_eq!(
        refuse(GenerateRequest { prompt: vec![9000], ..GenerateRequest::default() }),
        "token id 9000 is not in the vocabulary of 8192 tokens"
    );
}

#[test]
fn logprobs_are_those_of_the_unchanged_model() {
    let model = model();
    let runtime = runtime(&model, 256);
    let with = GenerateRequest { logprobs: Some(3), ..request(&model, PROMPTS[4], 4, 3) };
    let events = start(&runtime, with);
    let reports: Vec<_> = events
        .iter()
        .take_while(|event| !matches!(event, Event::Finished { .. }))
        .filter_map(|event| if let Event::Token { logprobs, .. } = event { logprobs } else { None })
        .collect();
    assert_eq!(reports.len(), 4);
    for report in reports {
        assert!(report.logprob < 0.0 && report.top.len() == 3, "{report:?}");
        assert!(report.top[0].1 >= report.logprob, "the best is at least as likely: {report:?}");
    }
}
