//! `/v1/chat/completions` in front of a scripted engine.

mod common;

use std::sync::Arc;

use axum::http::StatusCode;
use common::{FakeEngine, MODEL, Script, post};
use serde_json::{Value, json};
use turbo_runtime::{FinishReason, SamplingParams};
use turbo_text::ChatTemplate;

const PATH: &str = "/v1/chat/completions";

fn hello() -> Arc<FakeEngine> {
    FakeEngine::saying(&["Hello", ", ", "world"])
}

fn body(extra: Value) -> Value {
    let mut body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hi" }] });
    body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    body
}

#[tokio::test]
async fn a_whole_answer() {
    let engine = hello();
    let answer = post(&engine, PATH, body(json!({}))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let mut json = answer.json();
    assert!(json["id"].as_str().expect("id").starts_with("chatcmpl-"));
    assert!(json["created"].as_u64().expect("created") > 1_700_000_000);
    for name in ["id", "created", "system_fingerprint"] {
        json.as_object_mut().expect("an object").remove(name);
    }
    let prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    let want = json!({
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": "Hello, world" },
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": prompt.len(),
            "completion_tokens": 3,
            "total_tokens": prompt.len() + 3,
            "prompt_tokens_details": { "cached_tokens": 2 },
        },
        "timings": {
            "cache_n": 2,
            "prompt_n": prompt.len() - 2,
            "prompt_ms": 10.0,
            "prompt_per_token_ms": 10.0 / (prompt.len() - 2) as f64,
            "prompt_per_second": (prompt.len() - 2) as f64 * 100.0,
            "predicted_n": 3,
            "predicted_ms": 20.0,
            "predicted_per_token_ms": 20.0 / 3.0,
            "predicted_per_second": 150.0,
        },
    });
    assert_eq!(json, want);
    assert_eq!(engine.last_prompt(), prompt);
    assert!(!answer.headers.contains_key("x-turbo-ignored"));
}

#[tokio::test]
async fn a_stream() {
    let engine = FakeEngine::new(Script::Say(vec!["Hel", "", "lo"], "!", FinishReason::Stop));
    let answer = post(&engine, PATH, body(json!({ "stream": true }))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let chunks = answer.chunks();
    let choices: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]).collect();
    let want = [
        json!({ "index": 0, "delta": { "role": "assistant", "content": "" }, "logprobs": null, "finish_reason": null }),
        json!({ "index": 0, "delta": { "content": "Hel" }, "logprobs": null, "finish_reason": null }),
        json!({ "index": 0, "delta": { "content": "lo" }, "logprobs": null, "finish_reason": null }),
        json!({ "index": 0, "delta": { "content": "!" }, "logprobs": null, "finish_reason": null }),
        json!({ "index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop" }),
    ];
    assert_eq!(choices, want.iter().collect::<Vec<_>>());
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], chunks[0]["id"]);
        assert_eq!(chunk["model"], MODEL);
        assert_eq!(chunk.get("usage"), None);
    }
    assert_eq!(chunks[4]["timings"]["predicted_n"], 3);
    assert_eq!(chunks[3].get("timings"), None);
}

#[tokio::test]
async fn a_stream_ends_with_usage_when_asked_for() {
    let answer =
        post(&hello(), PATH, body(json!({ "stream": true, "stream_options": { "include_usage": true } }))).await;
    let chunks = answer.chunks();
    let (last, others) = chunks.split_last().expect("chunks");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 3);
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
    for chunk in others {
        assert_eq!(chunk["usage"], Value::Null);
        assert!(chunk.as_object().expect("an object").contains_key("usage"));
    }
}

#[tokio::test]
async fn several_choices() {
    let engine = hello();
    let answer = post(&engine, PATH, body(json!({ "n": 3, "seed": 7 }))).await.json();
    let choices = answer["choices"].as_array().expect("choices");
    assert_eq!(choices.iter().map(|choice| choice["index"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
    assert!(choices.iter().all(|choice| choice["message"]["content"] == "Hello, world"));
    assert_eq!(answer["usage"]["completion_tokens"], 9);
    assert_eq!(answer["usage"]["prompt_tokens"], engine.last_prompt().len(), "a prompt counts once");
    let seeds: Vec<_> = engine.requests.lock().expect("lock").iter().map(|request| request.sampling.seed).collect();
    assert_eq!(seeds, [Some(7), Some(8), Some(9)]);

    let chunks = post(&hello(), PATH, body(json!({ "n": 2, "stream": true }))).await.chunks();
    for index in 0..2 {
        let own = chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == index);
        let text: String = own.clone().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(text, "Hello, world");
        assert_eq!(own.clone().next_back().expect("a last chunk")["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn logprobs_carry_tokens_and_bytes() {
    let engine = FakeEngine::new(Script::Say(vec!["a", "", "€"], "", FinishReason::Stop));
    let asked = body(json!({ "logprobs": true, "top_logprobs": 2 }));
    let answer = post(&engine, PATH, asked.clone()).await.json();
    let content = &answer["choices"][0]["logprobs"]["content"];
    assert_eq!(content.as_array().expect("tokens").len(), 3);
    assert_eq!(content[0]["token"], "a");
    assert_eq!(content[0]["logprob"], -0.5);
    assert_eq!(content[0]["bytes"], json!([97]));
    assert_eq!(content[0]["top_logprobs"][1], json!({ "token": "b", "logprob": -1.5, "bytes": [98] }));
    assert_eq!(content[1]["bytes"], json!([0xe2, 0x82]));
    assert_eq!(content[2]["bytes"], json!([0xac]));

    let mut streamed = asked;
    streamed["stream"] = json!(true);
    let chunks = post(&engine, PATH, streamed).await.chunks();
    let lengths: Vec<usize> =
        chunks.iter().map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(lengths, [0, 1, 2, 0], "the piece that completes a character carries both of its tokens");
}

#[tokio::test]
async fn parameters_reach_the_engine() {
    let engine = hello();
    post(&engine, PATH, body(json!({}))).await;
    let plain = engine.last_request();
    assert_eq!(plain.sampling, SamplingParams::default());
    assert_eq!((plain.max_tokens, plain.logprobs, plain.ignore_eos), (None, None, false));
    assert!(plain.stop.is_empty());

    let all = json!({
        "max_tokens": 9, "max_completion_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1,
        "repeat_penalty": 1.1, "repeat_last_n": -1, "presence_penalty": 0.25, "frequency_penalty": -0.5, "seed": 18446744073709551615u64,
        "stop": ["END", ""], "logprobs": true, "logit_bias": { "5": -100, "6": 2.5 }, "ignore_eos": true, "user": "u",
    });
    post(&engine, PATH, body(all)).await;
    let got = engine.last_request();
    let want = SamplingParams {
        temperature: 0.5,
        top_k: 7,
        top_p: 0.9,
        min_p: 0.1,
        repeat_penalty: 1.1,
        repeat_last_n: common::CONTEXT,
        presence_penalty: 0.25,
        frequency_penalty: -0.5,
        seed: Some(u64::MAX),
        logit_bias: vec![(5, -100.0), (6, 2.5)],
    };
    assert_eq!(got.sampling, want);
    assert_eq!((got.max_tokens, got.logprobs, got.ignore_eos), (Some(5), Some(0), true));
    assert_eq!(got.stop, ["END"]);

    let others = json!({
        "max_tokens": -1, "top_k": -1, "repetition_penalty": 1.3, "seed": -1, "stop": "x", "logit_bias": [[3, 1], [4, false]],
        "temperature": null, "n": 1.0,
    });
    post(&engine, PATH, body(others)).await;
    let got = engine.last_request();
    assert_eq!(
        (got.max_tokens, got.sampling.top_k, got.sampling.repeat_penalty, got.sampling.seed),
        (None, 0, 1.3, None)
    );
    assert_eq!(got.sampling.temperature, 0.8);
    assert_eq!(got.sampling.logit_bias, [(3, 1.0), (4, f32::NEG_INFINITY)]);
    assert_eq!(got.stop, ["x"]);
}

#[tokio::test]
async fn max_tokens_ends_with_length() {
    let answer = post(&hello(), PATH, body(json!({ "max_tokens": 2 }))).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello, ");
}

#[tokio::test]
async fn messages_become_a_prompt() {
    let engine = hello();
    let messages = json!([
        { "role": "developer", "content": "Sys" },
        { "role": "user", "content": [{ "type": "text", "text": "one" }, { "type": "text", "text": "two" }] },
        { "role": "assistant", "content": null, "tool_calls": [{ "function": { "name": "f", "arguments": "{\"a\": 1}" } }] },
    ]);
    let asked = json!({ "messages": messages, "add_generation_prompt": false });
    assert_eq!(post(&engine, PATH, asked).await.status, StatusCode::OK);
    let want =
        "<|im_start|>system\nSys<|im_end|>\n<|im_start|>user\none\ntwo<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n";
    assert_eq!(engine.last_prompt(), want);

    let source = "{{ messages[2].tool_calls[0].function.arguments | tojson }}|{{ enable_thinking }}";
    let template = ChatTemplate::from_source(source).expect("parses");
    let engine = FakeEngine::with_template(hello().script.clone(), template);
    let asked = json!({ "messages": messages, "chat_template_kwargs": { "enable_thinking": false } });
    assert_eq!(post(&engine, PATH, asked).await.status, StatusCode::OK);
    assert_eq!(engine.last_prompt(), "{\"a\": 1}|False");
}

#[tokio::test]
async fn ignored_fields_are_named() {
    let answer = post(&hello(), PATH, body(json!({ "store": true, "mirostat": 2, "user": "u", "bad\nname": 1 }))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["x-turbo-ignored"], "store, mirostat");
}

#[tokio::test]
async fn the_path_without_v1_is_the_same() {
    assert_eq!(post(&hello(), "/chat/completions", body(json!({}))).await.status, StatusCode::OK);
}
