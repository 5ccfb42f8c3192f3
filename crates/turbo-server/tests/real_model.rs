//! The server in front of the real engine, with the model that ships with the project.

mod common;

use std::sync::Arc;

use common::{Answer, post_request, send_to};
use serde_json::{Value, json};
use turbo_cpu::CpuBackend;
use turbo_runtime::{Context, ContextOptions, KvTypes, Model, Runtime};
use turbo_server::AppState;

fn state() -> AppState {
    let path = turbo_testkit::workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf");
    let model = Arc::new(Model::open(&path).expect("the model opens"));
    let options = ContextOptions { types: KvTypes::default(), tokens: Some(1024) };
    let context = Context::new(model, &CpuBackend::new(Some(2)), options, &mut |_, _| {}).expect("a context");
    AppState::new(Arc::new(Runtime::start(context).expect("an engine thread")))
}

async fn post(state: &AppState, path: &str, body: Value) -> Answer {
    send_to(state.clone(), post_request(path, body.to_string())).await
}

fn question(extra: Value) -> Value {
    let text = "Read the text and remember the secret numbers.\nIt was a cold morning, and the house was silent.\nThe secret number of \
                the amber falcon is 48213.\nNobody came to the door that day.";
    let mut body = json!({
        "messages": [
            { "role": "system", "content": text },
            { "role": "user", "content": "What is the secret number of the amber falcon?" },
        ],
        "temperature": 0,
        "max_tokens": 40,
    });
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_answer_whole_in_a_stream_and_twice() {
    let state = state();
    const CHAT: &str = "/v1/chat/completions";
    let want = "The secret number of the amber falcon is 48213.";
    let whole = post(&state, CHAT, question(json!({ "logprobs": true, "top_logprobs": 3 }))).await.json();
    let choice = &whole["choices"][0];
    assert_eq!(choice["message"]["content"], want);
    assert_eq!(choice["finish_reason"], "stop");
    let tokens = choice["logprobs"]["content"].as_array().expect("log-probabilities");
    let text: String = tokens.iter().filter_map(|token| token["token"].as_str()).collect();
    assert_eq!(text, want);
    assert!(
        tokens.iter().all(|token| token["top_logprobs"][0]["logprob"] == token["logprob"]),
        "greedy takes the likeliest"
    );
    assert_eq!(whole["usage"]["completion_tokens"], tokens.len());
    assert!(whole["timings"]["predicted_per_second"].as_f64().expect("a speed") > 0.0);

    let streamed = json!({ "stream": true, "n": 2, "stream_options": { "include_usage": true } });
    let chunks = post(&state, CHAT, question(streamed)).await.chunks();
    for index in 0..2 {
        let own = chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == index);
        assert_eq!(own.filter_map(|choice| choice["delta"]["content"].as_str()).collect::<String>(), want);
    }
    let usage = &chunks.last().expect("chunks")["usage"];
    assert_eq!(usage["prompt_tokens"], whole["usage"]["prompt_tokens"]);

    let stopped = post(&state, CHAT, question(json!({ "stop": [" falcon"] }))).await.json();
    assert_eq!(stopped["choices"][0]["message"]["content"], "The secret number of the amber");
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn sampling_is_repeatable_by_its_seed() {
    let state = state();
    let asked = json!({ "prompt": "The old man looked at", "seed": 11, "max_tokens": 24, "temperature": 1.0, "n": 2 });
    let first = post(&state, "/v1/completions", asked.clone()).await.json();
    let second = post(&state, "/v1/completions", asked).await.json();
    assert_eq!(first["choices"], second["choices"]);
    assert_ne!(first["choices"][0]["text"], first["choices"][1]["text"]);
    assert_eq!(first["usage"]["completion_tokens"], 48);

    let nothing = json!({ "prompt": "Once", "max_tokens": 0, "echo": true });
    let nothing = post(&state, "/v1/completions", nothing).await.json();
    assert_eq!(
        (&nothing["choices"][0]["text"], &nothing["choices"][0]["finish_reason"]),
        (&json!("Once"), &json!("length"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_s_refusals() {
    let state = state();
    let long = post(&state, "/v1/completions", json!({ "prompt": "word ".repeat(2000) })).await;
    assert_eq!(long.status, 400);
    assert_eq!(long.json()["error"]["code"], "context_length_exceeded");
    assert_eq!(long.json()["error"]["n_ctx"], 1024);
    let unknown = post(&state, "/v1/completions", json!({ "prompt": [8192] })).await;
    assert_eq!(unknown.error().0, "token id 8192 is not in the vocabulary of 8192 tokens");
}
