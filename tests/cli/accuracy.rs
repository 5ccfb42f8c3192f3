//! Perplexity, logits and KL divergence against references made by other programs.

use serde_json::Value;
use turbo_testkit::{nmse, shared};

use crate::program::{arg, json};

fn perplexity(model: &str, text: &str, more: &[&str]) -> Option<Value> {
    let (model, text) = (shared(model)?, shared(text)?);
    let mut args = vec!["perplexity", "-m", arg(&model), "-f", arg(&text), "--json"];
    args.extend(more);
    Some(json(&args))
}

/// Checks a perplexity against a reference within a share of it.
fn close(report: &Value, want: f64, share: f64, what: &str) {
    let got = report["perplexity"].as_f64().expect("a number");
    assert!((got / want - 1.0).abs() <= share, "{what}: perplexity {got}, reference {want}");
}

#[test]
fn perplexities_of_the_trained_models() {
    let references =
        [("tiny-llama-5m.f16", 43.289), ("tiny-qwen3-34m.q8_0", 35.516), ("tiny-qwen3-34m.q4_k_m", 36.401)];
    for (model, want) in references {
        let file = format!("models/{model}.gguf");
        let Some(report) = perplexity(&file, "text/the_time_machine.txt", &["-c", "2048"]) else { return };
        close(&report, want, 0.003, model);
        assert_eq!(report["tokens"], 21 * 1023, "scored tokens");
    }
}

#[test]
fn perplexities_of_the_quantised_models() {
    let Some(expected) = shared("fixtures/quant_models/expected.json") else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(expected).expect("readable")).expect("JSON");
    for (name, reference) in expected["models"].as_object().expect("models") {
        let file = reference["file"].as_str().expect("a file name");
        let file = format!("fixtures/quant_models/{file}");
        let Some(report) = perplexity(&file, "fixtures/quant_models/text.txt", &["-c", "256"]) else { return };
        close(&report, reference["ppl"].as_f64().expect("a number"), 0.005, name);
    }
}

#[test]
fn kl_divergence_of_the_kv_types() {
    let limits = [("turbo4", 0.022), ("turbo3", 0.072), ("turbo2", 0.27), ("q8_0", 0.0005)];
    for (kv, limit) in limits {
        let flags = ["-c", "512", "--chunks", "12", "--kl-against", "f16", "--ctk", kv, "--ctv", kv];
        let report = perplexity("models/tiny-qwen3-34m.q8_0.gguf", "text/pride_and_prejudice.txt", &flags);
        let Some(report) = report else { return };
        let mean = report["kl"]["mean"].as_f64().expect("a number");
        assert!(mean > 0.0 && mean <= limit, "{kv}: mean KL divergence {mean}, limit {limit}");
        let same_top = report["kl"]["same_top"].as_f64().expect("a number");
        assert!((0.5..=1.0).contains(&same_top), "{kv}: same top token {same_top}");
    }
}

#[test]
fn logits_of_random_models() {
    for name in ["llama", "qwen2", "qwen3", "mistral"] {
        let (Some(model), Some(reference)) =
            (shared(&format!("fixtures/arch/{name}.f16.gguf")), shared(&format!("fixtures/arch/{name}.json")))
        else {
            return;
        };
        let reference: Value = serde_json::from_slice(&std::fs::read(reference).expect("readable")).expect("JSON");
        for case in reference["cases"].as_array().expect("cases") {
            check_logits(name, arg(&model), case);
        }
    }
}

fn check_logits(name: &str, model: &str, case: &Value) {
    let floats = |v: &Value| -> Vec<f32> {
        v.as_array().expect("an array").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
    };
    let ids: Vec<String> = case["input_ids"].as_array().expect("ids").iter().map(Value::to_string).collect();
    let report = json(&["logits", "-m", model, "--ids", &ids.join(","), "--json"]);
    let error = nmse(&floats(&report["logits_last"]), &floats(&case["logits_last"]));
    assert!(error <= 1e-5, "{name}, {} tokens: NMSE of the last logits {error:e}", ids.len());
    for (at, margin) in floats(&case["top1_margin"]).into_iter().enumerate() {
        if margin > 0.05 {
            assert_eq!(report["argmax"][at], case["argmax"][at], "{name}: argmax at {at}, margin {margin}");
        }
    }
}
