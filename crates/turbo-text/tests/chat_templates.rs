//! Chat templates against what Jinja2 makes of them: `tests/fixtures/chat`, written by the `generate.py` beside it.

use serde_json::{Map, Value, json};
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
