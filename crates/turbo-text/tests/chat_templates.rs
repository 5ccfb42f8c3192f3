//! Chat templates against what Jinja2 makes of them: `tests/fixtures/chat`, written by the `generate.py` beside it.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use turbo_gguf::{GgufFile, write};
use turbo_text::{ChatError, ChatTemplate, RenderInput, message};

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn template(name: &str) -> ChatTemplate {
    let path = turbo_testkit::fixture(&format!("chat/{name}.jinja"));
    let source = std::fs::read_to_string(path).expect("fixture is readable");
    ChatTemplate::from_source(&source).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn cases() -> Value {
    let path = turbo_testkit::fixture("chat/cases.json");
    serde_json::from_slice(&std::fs::read(path).expect("fixture is readable")).expect("fixture is JSON")
}

fn input(case: &Value, conversations: &Value) -> RenderInput {
    RenderInput {
        messages: list(&conversations[case["messages"].as_str().expect("name of a conversation")]),
        tools: list(&case["tools"]),
        add_generation_prompt: case["add_generation_prompt"].as_bool().expect("a bool"),
        bos_token: "<s>".into(),
        eos_token: "</s>".into(),
        extra: case["extra"].as_object().cloned().unwrap_or_default(),
    }
}

#[test]
fn templates_render_as_jinja2_renders_them() {
    let fixture = cases();
    let mut wrong = Vec::new();
    for case in fixture["cases"].as_array().expect("cases") {
        let name = format!("{} / {}", case["template"], case["messages"]);
        let got = template(case["template"].as_str().expect("name")).render(&input(case, &fixture["conversations"]));
        let right = match (&got, &case["expected"], &case["raised"]) {
            (Ok(text), Value::String(want), _) => text == want,
            (Err(ChatError::Raised { message }), _, Value::String(want)) => message == want,
            (Err(ChatError::Render { .. }), Value::Null, Value::Null) => true,
            _ => false,
        };
        if !right {
            let got = got.unwrap_or_else(|error| format!("error: {error}"));
            wrong.push(format!(
                "== {name}\n-- got\n{got}\n-- want\n{}",
                case["expected"].as_str().unwrap_or(&case.to_string())
            ));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_default_is_chatml_and_says_so() {
    let chatml = ChatTemplate::chatml();
    assert!(chatml.is_default());
    let input = RenderInput {
        messages: vec![message("system", "S"), message("user", "U")],
        add_generation_prompt: true,
        ..RenderInput::default()
    };
    let want = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(chatml.render(&input).expect("renders"), want);
    let again = ChatTemplate::from_source(chatml.source()).expect("parses");
    assert!(!again.is_default());
    assert_eq!(again.render(&input).expect("renders"), want);
}

fn render(source: &str) -> Result<String, ChatError> {
    let input = RenderInput { messages: vec![message("user", "x")], ..RenderInput::default() };
    ChatTemplate::from_source(source)?.render(&input)
}

#[test]
fn errors_name_the_place_and_the_cause() {
    let cases = [
        (
            "line one\n{% for x in %}\n{% endfor %}",
            "chat template has a syntax error at line 2: syntax error: unexpected end of block; fix the template or pass another one",
        ),
        (
            "{{ 'a' }}\n\n{{ messages[0]['role'] + missing.deeper.still }}",
            "chat template failed at line 3, near `missing.deeper`: undefined value: `missing` is undefined",
        ),
        (
            "{{ raise_exception('Roles must alternate!') }}",
            "the model's chat template refuses this conversation: Roles must alternate!",
        ),
        (
            "{% macro check(m) %}{{ raise_exception('in a macro: ' + m.role) }}{% endmacro %}{{ check(messages[0]) }}",
            "the model's chat template refuses this conversation: in a macro: user",
        ),
        (
            "{{ messages | nope }}",
            "chat template failed at line 1, near `nope`: unknown filter: filter nope is unknown",
        ),
        (
            "{{ messages[0].wibble() }}",
            "chat template failed at line 1, near `.wibble()`: unknown method: map has no method named wibble",
        ),
        (
            "{{ missing | tojson }}",
            "chat template failed at line 1, near `tojson`: invalid operation: tojson: undefined is not JSON serialisable",
        ),
    ];
    for (source, want) in cases {
        assert_eq!(render(source).expect_err(source).to_string(), want, "{source}");
    }
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let source = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    let error = render(source).expect_err("too much work").to_string();
    assert!(error.contains("engine ran out of fuel"), "{error}");
    let error = render("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").expect_err("endless recursion").to_string();
    assert!(error.contains("recursion"), "{error}");
}

/// minijinja 3.0.5 subtracts past zero here; with overflow checks, as in tests, that is a panic.
#[test]
fn a_panic_of_the_engine_is_an_error() {
    match render("{{ messages[0:5:-1] }}") {
        Ok(text) => assert_eq!(text, "[]"),
        Err(error) => {
            let want = "the template engine cannot process this chat template (attempt to subtract with overflow); pass another template";
            assert_eq!(error.to_string(), want);
        }
    }
}

#[test]
fn the_date_is_todays() {
    let year: u64 = render("{{ strftime_now('%Y') }}").expect("renders").parse().expect("a year");
    assert!((2024..3000).contains(&year));
    assert_eq!(render("{{ strftime_now('%d') | length }}").expect("renders"), "2");
}

#[test]
fn extra_variables_win_over_standard_ones() {
    let template =
        ChatTemplate::from_source("{{ bos_token }}|{{ enable_thinking }}|{{ nested.a[1] }}").expect("parses");
    let Value::Object(extra) = json!({ "bos_token": "<B>", "enable_thinking": false, "nested": { "a": [1, 2] } })
    else {
        unreachable!("an object literal")
    };
    let input = RenderInput { bos_token: "<s>".into(), extra, ..RenderInput::default() };
    assert_eq!(template.render(&input).expect("renders"), "<B>|False|2");
    let plain = RenderInput { bos_token: "<s>".into(), extra: Map::new(), ..RenderInput::default() };
    assert!(template.render(&plain).is_err(), "nested is undefined");
}

#[test]
fn templates_are_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&ChatTemplate::chatml());
}

fn file(metadata: &[(&str, turbo_gguf::Value)]) -> GgufFile {
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let bytes = write::gguf_bytes(&metadata, &[]).expect("writes");
    GgufFile::from_vec("model.gguf", bytes).expect("reads back")
}

#[test]
fn templates_come_out_of_files() {
    let text = |text: &str| turbo_gguf::Value::String(text.into());
    let architecture = ("general.architecture", text("llama"));
    let none = ChatTemplate::from_gguf(&file(std::slice::from_ref(&architecture))).expect("ChatML");
    assert!(none.is_default());

    let metadata = [
        architecture.clone(),
        ("tokenizer.chat_template", text("plain {{ messages[0].content }}")),
        ("tokenizer.chat_template.tool_use", text("tools {{ tools | length }}")),
    ];
    let both = ChatTemplate::from_gguf(&file(&metadata)).expect("parses");
    assert!(!both.is_default());
    let mut input = RenderInput { messages: vec![message("user", "x")], ..RenderInput::default() };
    assert_eq!(both.render(&input).expect("renders"), "plain x");
    input.tools = vec![json!({}), json!({})];
    assert_eq!(both.render(&input).expect("renders"), "tools 2");

    let broken = [architecture.clone(), ("tokenizer.chat_template", text("{% if %}"))];
    let error = ChatTemplate::from_gguf(&file(&broken)).expect_err("does not parse").to_string();
    let want = "model.gguf: chat template has a syntax error at line 1: syntax error: unexpected end of block; fix the template or \
                pass another one";
    assert_eq!(error, want);

    let number = [architecture, ("tokenizer.chat_template", turbo_gguf::Value::U32(7))];
    let error = ChatTemplate::from_gguf(&file(&number)).expect_err("not text").to_string();
    let want =
        "the chat template cannot be read: model.gguf: key \"tokenizer.chat_template\" is u32 7, expected a string";
    assert_eq!(error, want);
}

#[test]
fn the_template_of_the_built_in_model() {
    let path = turbo_testkit::workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf");
    let template = ChatTemplate::from_gguf(&GgufFile::open(&path).expect("opens")).expect("parses");
    assert!(!template.is_default());
    let input = RenderInput {
        messages: vec![message("system", "S"), message("user", "U")],
        add_generation_prompt: true,
        ..RenderInput::default()
    };
    let want = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(template.render(&input).expect("renders"), want);
}

/// Pieces of templates, sound and broken.
const PIECES: [&str; 24] = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{%-",
    "-%}",
    "{#",
    "#}",
    "{% generation %}",
    "{% endgeneration %}",
    "{% for m in messages %}",
    "{% endfor %}",
    "{% if tools %}",
    "{% endif %}",
    "{{ m.content | tojson(indent=9999999999) }}",
    "{{ strftime_now('%-%Q%9%') }}",
    "{{ 'a,b'.rsplit(',', -9) }}",
    "{{ '\u{e9}'.zfill(99999999999) }}",
    "{{ messages[-9:99:-1] }}",
    "{{ 'x' * 99999999999 }}",
    "{{ 9223372036854775807 + 1 }}",
    "{{ 'x'.partition('') }}",
    "{{ range(99999999999) }}",
    "\u{1f985} {{ -7 // 0 }}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A template out of a broken or hostile file gives an error or a text.
    #[test]
    fn no_template_panics(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..8), tail in "\\PC{0,12}") {
        let _ = render(&(pieces.concat() + &tail));
    }
}
