//! Every failure has its status and OpenAI's body.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use common::{Answer, FakeEngine, Script, get, post, post_request, send};
use proptest::prelude::*;
use serde_json::{Value, json};
use turbo_server::MAX_BODY_BYTES;
use turbo_text::ChatTemplate;

const CHAT: &str = "/v1/chat/completions";

fn hello() -> Arc<FakeEngine> {
    FakeEngine::saying(&["Hello"])
}

fn check(answer: &Answer, status: StatusCode, message: &str, param: Value, code: Value) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    let error = answer.error();
    assert_eq!((error.0.as_str(), error.2, error.3), (message, param, code));
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_named() {
    let user = json!([{ "role": "user", "content": "x" }]);
    let cases = [
        (
            json!({ "messages": user, "temperature": "hot" }),
            "temperature is the string \"hot\", expected a number",
            "temperature",
        ),
        (json!({ "messages": user, "stream": 1 }), "stream is 1, expected true or false", "stream"),
        (json!({ "messages": user, "n": 0 }), "n is 0, expected a whole number from 1 to 128", "n"),
        (
            json!({ "messages": user, "max_tokens": -2 }),
            "max_tokens is -2, expected a whole number of at least 0 (or -1 for no limit)",
            "max_tokens",
        ),
        (json!({ "messages": user, "top_p": 1.5 }), "top_p is 1.5, expected 0 to 1", "top_p"),
        (json!({ "messages": user, "temperature": -1 }), "temperature is -1, expected 0 or more", "temperature"),
        (json!({ "messages": user, "stop": [1] }), "stop[0] is 1, expected a string", "stop[0]"),
        (json!({ "messages": user, "stop": 5 }), "stop is 5, expected a string or an array of strings", "stop"),
        (
            json!({ "messages": user, "logit_bias": { "a": 1 } }),
            "logit_bias is an object with the key \"a\", expected token ids as keys",
            "logit_bias",
        ),
        (
            json!({ "messages": user, "logit_bias": { "7": true } }),
            "logit_bias.7 is true, expected a number (or false to forbid the token)",
            "logit_bias.7",
        ),
        (
            json!({ "messages": user, "logit_bias": [[1]] }),
            "logit_bias[0] is an array of 1, expected a pair of a token id and a bias",
            "logit_bias[0]",
        ),
        (
            json!({ "messages": user, "top_logprobs": 3 }),
            "top_logprobs is 3 without logprobs, expected it together with \"logprobs\": true",
            "top_logprobs",
        ),
        (
            json!({ "messages": user, "logprobs": true, "top_logprobs": 21 }),
            "top_logprobs is 21, expected a whole number from 0 to 20",
            "top_logprobs",
        ),
        (
            json!({ "messages": user, "stream_options": { "include_usage": 1 } }),
            "stream_options.include_usage is 1, expected true or false",
            "stream_options.include_usage",
        ),
        (json!({ "messages": user, "model": 1 }), "model is 1, expected a string", "model"),
        (json!({ "messages": "hi" }), "messages is the string \"hi\", expected an array of messages", "messages"),
        (json!({ "messages": [] }), "messages is an array of 0, expected at least one message", "messages"),
        (json!({ "messages": ["hi"] }), "messages[0] is the string \"hi\", expected an object", "messages[0]"),
        (
            json!({ "messages": [{ "role": 1, "content": "" }] }),
            "messages[0].role is 1, expected a string",
            "messages[0].role",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": 1 }] }),
            "messages[0].content is 1, expected a string or an array of parts",
            "messages[0].content",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": 1 }] }] }),
            "messages[0].content[0].text is 1, expected a string",
            "messages[0].content[0].text",
        ),
    ];
    for (asked, message, param) in cases {
        check(
            &post(&hello(), CHAT, asked).await,
            StatusCode::BAD_REQUEST,
            message,
            json!(param),
            json!("invalid_value"),
        );
    }
}

#[tokio::test]
async fn missing_fields_are_named() {
    let cases = [
        (json!({}), "messages is missing, expected an array of messages", "messages"),
        (json!({ "messages": null }), "messages is missing, expected an array of messages", "messages"),
        (
            json!({ "messages": [{ "content": "x" }] }),
            "messages[0].role is missing, expected the role of the message, as \"user\"",
            "messages[0].role",
        ),
        (
            json!({ "messages": [{ "role": "user" }] }),
            "messages[0].content is missing, expected the text of the message",
            "messages[0].content",
        ),
    ];
    for (asked, message, param) in cases {
        let code = json!("missing_required_parameter");
        check(&post(&hello(), CHAT, asked).await, StatusCode::BAD_REQUEST, message, json!(param), code);
    }
}

#[tokio::test]
async fn what_is_not_supported_is_refused_by_name() {
    let user = json!([{ "role": "user", "content": "x" }]);
    let image = json!([{ "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": {} }] }]);
    let cases = [
        (
            json!({ "messages": image }),
            "messages[0].content[1].type \"image_url\" is not supported: this server reads parts of type \"text\" only",
            "messages[0].content[1].type \"image_url\"",
        ),
        (
            json!({ "messages": user, "tools": [{}] }),
            "tools is not supported: leave it out; tool calls are not read from answers",
            "tools",
        ),
        (
            json!({ "messages": user, "response_format": { "type": "json_object" } }),
            "response_format.type \"json_object\" is not supported: answers are free text, of type \"text\"",
            "response_format.type \"json_object\"",
        ),
        (
            json!({ "messages": user, "grammar": "root ::= x" }),
            "grammar is not supported: leave it out and check the answer yourself; answers cannot be constrained to a grammar",
            "grammar",
        ),
    ];
    for (asked, message, param) in cases {
        let code = json!("unsupported_parameter");
        check(&post(&hello(), CHAT, asked).await, StatusCode::BAD_REQUEST, message, json!(param), code);
    }
    let harmless =
        json!({ "messages": user, "tools": [], "response_format": { "type": "text" }, "tool_choice": "none" });
    assert_eq!(post(&hello(), CHAT, harmless).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_model_is_404() {
    let asked = json!({ "model": "gpt-4", "messages": [{ "role": "user", "content": "x" }] });
    let message = "model \"gpt-4\" is not here; this server has \"org/fake-1b\"";
    check(&post(&hello(), CHAT, asked).await, StatusCode::NOT_FOUND, message, json!("model"), json!("model_not_found"));
}

#[tokio::test]
async fn bad_json_is_400() {
    for (body, message) in [
        ("{\"messages\": [", "the request body is not valid JSON: EOF while parsing a list at line 1 column 14"),
        ("", "the request body is not valid JSON: EOF while parsing a value at line 1 column 0"),
    ] {
        let answer = send(&hello(), post_request(CHAT, body)).await;
        check(&answer, StatusCode::BAD_REQUEST, message, Value::Null, json!("invalid_json"));
    }
    let invalid_utf8 = send(&hello(), post_request(CHAT, vec![b'{', b'"', 0xff, b'"', b'}'])).await;
    assert_eq!((invalid_utf8.status, invalid_utf8.error().3), (StatusCode::BAD_REQUEST, json!("invalid_json")));
    let deep = send(&hello(), post_request(CHAT, "[".repeat(100_000))).await;
    assert_eq!((deep.status, deep.error().3), (StatusCode::BAD_REQUEST, json!("invalid_json")));
    let huge = send(&hello(), post_request(CHAT, "{\"temperature\": 1e999}")).await;
    assert_eq!((huge.status, huge.error().3), (StatusCode::BAD_REQUEST, json!("invalid_json")));
    let list = send(&hello(), post_request(CHAT, "[1]")).await;
    let message = "the request body is an array of 1, expected an object";
    check(&list, StatusCode::BAD_REQUEST, message, json!("the request body"), json!("invalid_value"));
}

#[tokio::test]
async fn a_prompt_that_is_too_long_names_both_counts() {
    let asked = json!({ "messages": [{ "role": "user", "content": "x".repeat(600) }] });
    let answer = post(&hello(), CHAT, asked).await;
    let message = "the prompt has 650 tokens, the context holds 512 (prompt and answer together): shorten the prompt or start \
                   with a larger context (-c)";
    check(&answer, StatusCode::BAD_REQUEST, message, Value::Null, json!("context_length_exceeded"));
    let error = &answer.json()["error"];
    assert_eq!((&error["n_prompt_tokens"], &error["n_ctx"]), (&json!(650), &json!(512)));
}

#[tokio::test]
async fn a_template_that_refuses_speaks_to_the_user() {
    let source = "{{ raise_exception('Roles must alternate!') }}";
    let engine = FakeEngine::with_template(Script::Vanish, ChatTemplate::from_source(source).expect("parses"));
    let asked = json!({ "messages": [{ "role": "user", "content": "x" }] });
    let message = "the model's chat template refuses this conversation: Roles must alternate!";
    check(
        &post(&engine, CHAT, asked).await,
        StatusCode::BAD_REQUEST,
        message,
        json!("messages"),
        json!("chat_template_error"),
    );
}

#[tokio::test]
async fn failures_of_the_engine() {
    let asked = json!({ "messages": [{ "role": "user", "content": "x" }] });
    let broken = FakeEngine::new(Script::Fail("Hel", "device lost"));
    let answer = post(&broken, CHAT, asked.clone()).await;
    check(&answer, StatusCode::INTERNAL_SERVER_ERROR, "the generation failed: device lost", Value::Null, Value::Null);
    assert_eq!(answer.error().1, "server_error");

    let mut streamed = asked.clone();
    streamed["stream"] = json!(true);
    let answer = post(&broken, CHAT, streamed).await;
    let chunks = answer.chunks();
    assert_eq!(chunks.last().expect("chunks")["error"]["message"], "the generation failed: device lost");
    assert_eq!(chunks[1]["choices"][0]["delta"]["content"], "Hel");

    let answer = post(&FakeEngine::new(Script::Vanish), CHAT, asked.clone()).await;
    let message = "the generation failed: the engine ended it without a word";
    check(&answer, StatusCode::INTERNAL_SERVER_ERROR, message, Value::Null, Value::Null);

    let gone = hello();
    gone.stopped.store(true, Ordering::Relaxed);
    let state = turbo_server::AppState::new(gone);
    let health = || Request::get("/health").body(Body::empty()).expect("a request");
    assert_eq!(common::send_to(state.clone(), health()).await.status, StatusCode::OK);
    let answer = common::send_to(state.clone(), post_request(CHAT, asked.to_string())).await;
    let message = "the engine has stopped: its thread has ended";
    check(&answer, StatusCode::SERVICE_UNAVAILABLE, message, Value::Null, json!("engine_stopped"));
    assert_eq!(answer.headers[header::RETRY_AFTER], "5");
    let answer = common::send_to(state, health()).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "the engine has stopped"));

    let lost = hello();
    *lost.lost.lock().expect("lock") = Some("the GPU was lost".into());
    let answer = common::send_to(turbo_server::AppState::new(lost), health()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "nobody had to ask for a generation first");
}

#[tokio::test]
async fn routes_methods_and_types() {
    let engine = hello();
    let answer = get(&engine, "/v1/nothing").await;
    let message = "there is no /v1/nothing here; see GET /v1/models for what is served";
    check(&answer, StatusCode::NOT_FOUND, message, Value::Null, json!("unknown_url"));

    let answer = get(&engine, CHAT).await;
    let message = "/v1/chat/completions does not take GET; the Allow header names what it takes";
    check(&answer, StatusCode::METHOD_NOT_ALLOWED, message, Value::Null, json!("method_not_allowed"));
    assert_eq!(answer.headers[header::ALLOW], "POST");

    let form = Request::post(CHAT).header(header::CONTENT_TYPE, "text/plain; charset=utf-8").body(Body::from("{}"));
    let answer = send(&engine, form.expect("a request")).await;
    let message =
        "the content type is \"text/plain\", expected application/json: send the header Content-Type: application/json";
    check(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE, message, Value::Null, json!("unsupported_media_type"));

    let bare = Request::post(CHAT).body(Body::from("{}")).expect("a request");
    let message =
        "the content type is missing, expected application/json: send the header Content-Type: application/json";
    let code = json!("unsupported_media_type");
    check(&send(&engine, bare).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, message, Value::Null, code);
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let message = "the request body is larger than 16777216 bytes; send less text";
    let declared = post_request(CHAT, vec![b' '; MAX_BODY_BYTES + 1]);
    let code = json!("request_too_large");
    check(&send(&hello(), declared).await, StatusCode::PAYLOAD_TOO_LARGE, message, Value::Null, code.clone());
    let chunks = (0..17).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20]));
    let undeclared = post_request(CHAT, Body::from_stream(futures_util::stream::iter(chunks)));
    check(&send(&hello(), undeclared).await, StatusCode::PAYLOAD_TOO_LARGE, message, Value::Null, code);
}

#[tokio::test]
async fn other_origins_are_not_let_in() {
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri(CHAT)
        .header(header::ORIGIN, "https://example.com")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let answer = send(&hello(), preflight.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,5}|role|content|type|text|function|arguments", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

const FIELDS: [&str; 22] = [
    "model",
    "messages",
    "prompt",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "echo",
    "tools",
    "response_format",
    "chat_template_kwargs",
    "repeat_last_n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is in the fields, the answer is a success or a refusal with a body, never a server error.
    #[test]
    fn no_request_breaks_the_server(fields in prop::collection::vec((prop::sample::select(&FIELDS[..]), any_json()), 0..5), chat: bool) {
        let mut body = json!({ "prompt": "x", "messages": [{ "role": "user", "content": "x" }] });
        for (name, value) in fields {
            body[name] = value;
        }
        let path = if chat { CHAT } else { "/v1/completions" };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let answer = runtime.block_on(post(&hello(), path, body));
        prop_assert!(answer.status.is_success() || answer.status.is_client_error(), "{} {}", answer.status, answer.text());
        if answer.status.is_client_error() {
            answer.error();
        }
    }
}
