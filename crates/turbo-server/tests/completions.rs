//! `/v1/completions` and `/v1/models` in front of a scripted engine.

mod common;

use std::sync::Arc;

use axum::http::StatusCode;
use common::{CONTEXT, FakeEngine, MODEL, Script, get, post};
use serde_json::{Value, json};
use turbo_runtime::FinishReason;

const PATH: &str = "/v1/completions";

fn hello() -> Arc<FakeEngine> {
    FakeEngine::saying(&["Hello", ", ", "world"])
}

fn text(chunks: &[Value], index: usize) -> String {
    let choices = chunks.iter().map(|chunk| &chunk["choices"][0]);
    choices.filter(|choice| choice["index"] == index).filter_map(|choice| choice["text"].as_str()).collect()
}

#[tokio::test]
async fn a_whole_answer() {
    let engine = hello();
    let answer = post(&engine, PATH, json!({ "prompt": "Once" })).await.json();
    assert!(answer["id"].as_str().expect("id").starts_with("cmpl-"));
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["model"], MODEL);
    assert_eq!(
        answer["choices"],
        json!([{ "text": "Hello, world", "index": 0, "logprobs": null, "finish_reason": "stop" }])
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 4);
    assert_eq!(answer["timings"]["predicted_n"], 3);
    assert_eq!(engine.last_prompt(), "Once");
}

#[tokio::test]
async fn a_stream() {
    let asked = json!({ "prompt": "Once", "stream": true, "stream_options": { "include_usage": true } });
    let chunks = post(&hello(), PATH, asked).await.chunks();
    assert_eq!(chunks.len(), 5);
    assert_eq!(text(&chunks, 0), "Hello, world");
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[4]["usage"]["total_tokens"], 7);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion"));
}

#[tokio::test]
async fn prompts_of_every_kind() {
    let engine = hello();
    post(&engine, PATH, json!({ "prompt": [72, 105] })).await;
    assert_eq!(engine.last_prompt(), "Hi");

    let answer = post(&engine, PATH, json!({ "prompt": ["one", "three"], "n": 2 })).await.json();
    let indices: Vec<_> =
        answer["choices"].as_array().expect("choices").iter().map(|choice| choice["index"].clone()).collect();
    assert_eq!(indices, [0, 1, 2, 3]);
    assert_eq!(answer["usage"]["prompt_tokens"], 8);
    assert_eq!(answer["usage"]["completion_tokens"], 12);

    let engine = hello();
    post(&engine, PATH, json!({ "prompt": [[97], [98, 99]] })).await;
    let prompts: Vec<_> = engine.requests.lock().expect("lock").iter().map(|request| request.prompt.clone()).collect();
    assert_eq!(prompts, [vec![97], vec![98, 99]]);
}

#[tokio::test]
async fn echo_puts_the_prompt_first() {
    let asked = json!({ "prompt": ["one ", "two "], "echo": true });
    let answer = post(&hello(), PATH, asked.clone()).await.json();
    assert_eq!(answer["choices"][0]["text"], "one Hello, world");
    assert_eq!(answer["choices"][1]["text"], "two Hello, world");
    let mut streamed = asked;
    streamed["stream"] = json!(true);
    let chunks = post(&hello(), PATH, streamed).await.chunks();
    assert_eq!(text(&chunks, 0), "one Hello, world");
    assert_eq!(text(&chunks, 1), "two Hello, world");
    let answer = post(&hello(), PATH, json!({ "prompt": [72, 105, 32], "echo": true })).await.json();
    assert_eq!(answer["choices"][0]["text"], "Hi Hello, world");
}

#[tokio::test]
async fn logprobs_in_the_older_shape() {
    let engine = FakeEngine::new(Script::Say(vec!["a", "", "€"], "", FinishReason::Stop));
    let answer = post(&engine, PATH, json!({ "prompt": "x", "logprobs": 2 })).await.json();
    let want = json!({
        "tokens": ["a", "bytes:\\xe2\\x82", "bytes:\\xac"],
        "token_logprobs": [-0.5, -0.5, -0.5],
        "top_logprobs": [{ "a": -0.5, "b": -1.5 }, { "a": -0.5, "b": -1.5 }, { "a": -0.5, "b": -1.5 }],
        "text_offset": [0, 1, 15],
    });
    assert_eq!(answer["choices"][0]["logprobs"], want);
}

#[tokio::test]
async fn refusals_name_the_field() {
    let cases = [
        (
            json!({}),
            "prompt is missing, expected a string, an array of strings, an array of token ids or an array of such arrays",
            "prompt",
        ),
        (
            json!({ "prompt": 5 }),
            "prompt is 5, expected a string, an array of strings, an array of token ids or an array of such arrays",
            "prompt",
        ),
        (json!({ "prompt": ["a", 5] }), "prompt[1] is 5, expected a string or an array of token ids", "prompt[1]"),
        (json!({ "prompt": [5, "a"] }), "prompt[1] is the string \"a\", expected a token id", "prompt[1]"),
        (json!({ "prompt": [5, -1] }), "prompt[1] is -1, expected a token id", "prompt[1]"),
        (
            json!({ "prompt": ["a", "b"], "n": 128 }),
            "prompt is 2 prompts with n = 128, expected at most 128 choices in all",
            "prompt",
        ),
        (
            json!({ "prompt": "a", "echo": true, "logprobs": 1 }),
            "echo together with logprobs is not supported: log-probabilities are given for generated tokens only",
            "echo together with logprobs",
        ),
        (
            json!({ "prompt": "a", "suffix": "b" }),
            "suffix is not supported: leave it out; text is only generated after the prompt",
            "suffix",
        ),
        (
            json!({ "prompt": "a", "best_of": 3 }),
            "best_of other than n is not supported: ask for n choices and pick one",
            "best_of other than n",
        ),
    ];
    for (asked, message, param) in cases {
        let answer = post(&hello(), PATH, asked.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{asked}");
        let error = answer.error();
        assert_eq!((error.0.as_str(), error.1.as_str(), error.2), (message, "invalid_request_error", json!(param)));
    }
    for (asked, message, code) in [
        (json!({ "prompt": "" }), "the prompt is empty: it has no tokens", "empty_prompt"),
        (json!({ "prompt": [] }), "the prompt is empty: it has no tokens", "empty_prompt"),
        (json!({ "prompt": [7, 5000] }), "token id 5000 is not in the vocabulary of 1002 tokens", "invalid_value"),
    ] {
        let answer = post(&hello(), PATH, asked).await;
        assert_eq!(
            (answer.status, answer.error().0.as_str(), answer.error().3),
            (StatusCode::BAD_REQUEST, message, json!(code))
        );
    }
}

#[tokio::test]
async fn models() {
    let engine = hello();
    for path in ["/v1/models", "/models"] {
        let list = get(&engine, path).await.json();
        assert_eq!(list["object"], "list");
        assert_eq!(list["data"][0]["id"], MODEL);
        assert_eq!(list["data"][0]["meta"]["n_ctx"], CONTEXT);
    }
    let one = get(&engine, "/v1/models/org/fake-1b").await;
    assert_eq!((one.status, &one.json()["object"]), (StatusCode::OK, &json!("model")));
    let other = get(&engine, "/v1/models/gpt-4").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    assert_eq!(other.error().0, "model \"gpt-4\" is not here; this server has \"org/fake-1b\"");
    let not_utf8 = get(&engine, "/v1/models/%ff").await;
    assert_eq!((not_utf8.status, not_utf8.error().3), (StatusCode::NOT_FOUND, json!("model_not_found")));
}
