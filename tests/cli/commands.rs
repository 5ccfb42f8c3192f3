//! What each command prints.

use serde_json::json;
use turbo_testkit::fixture;

use crate::program::{arg, command, finish, json, run};

#[test]
fn tokenize_prints_ids() {
    let plain = json(&["tokenize", "--json", "<|im_start|>user\nhello"]);
    let special = json(&["tokenize", "--json", "--parse-special", "<|im_start|>user\nhello"]);
    assert_eq!(special["ids"][0], json!(1), "the special token is recognised: {special}");
    let count = |report: &serde_json::Value| report["ids"].as_array().map_or(0, Vec::len);
    assert!(count(&plain) > count(&special), "plain text by default: {plain}");
    let vocabulary = fixture("vocab/ggml-vocab-llama-spm.gguf");
    let with = json(&["tokenize", "--json", "--add-special", "-m", arg(&vocabulary), "hello"]);
    let without = json(&["tokenize", "--json", "-m", arg(&vocabulary), "hello"]);
    assert_eq!((&with["ids"][0], &with["ids"][1]), (&json!(1), &without["ids"][0]), "a beginning token when asked for");
    let table = run(&["tokenize", "a b"]);
    assert!(table.out.ends_with("tokens\n") && table.status == 0, "{}", table.out);
}

#[test]
fn logits_have_a_row_for_every_position() {
    let report = json(&["logits", "--ids", "5,6,7,8", "--json"]);
    assert_eq!(report["argmax"].as_array().map(Vec::len), Some(4), "argmax");
    assert_eq!(report["logprob_next"].as_array().map(Vec::len), Some(3), "logprob_next");
    assert_eq!(report["logits_last"].as_array().map(Vec::len), Some(8192), "logits_last");
    let logprobs = report["logprob_next"].as_array().expect("an array");
    assert!(logprobs.iter().all(|lp| lp.as_f64().is_some_and(|lp| lp < 0.0)), "{logprobs:?}");
}

#[test]
fn show_describes_the_model_and_its_cache() {
    let report = json(&["show", "--json", "-c", "32768"]);
    assert_eq!(report["architecture"], json!("qwen3"));
    assert_eq!(report["layers"], json!(8));
    assert_eq!(report["kv_cache"]["context"], json!(32768));
    // 8 slots of 2 heads of 128: 16 bits a value for K and V in f16, 4.125 in turbo4.
    let f16 = 32768u64 * 8 * 2 * 2 * 128 * 2;
    assert_eq!(report["kv_cache"]["bytes"]["f16"], json!(f16));
    assert_eq!(report["kv_cache"]["bytes"]["turbo4"], json!(f16 / 512 * 132));
    let tables = run(&["show"]);
    assert!(tables.out.contains("KV cache of 32768 tokens"), "{}", tables.out);
}

#[test]
fn devices_lists_the_cpu() {
    let report = json(&["devices", "--json"]);
    assert!(report["devices"].as_array().is_some_and(|devices| devices.iter().any(|d| d["name"] == "cpu")), "{report}");
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let generate = |seed: &str| {
        let args = ["run", "--raw", "-p", "It was a", "-n", "24", "--seed", seed, "--ctk", "turbo4", "--ctv", "turbo3"];
        let run = run(&args);
        assert_eq!(run.status, 0, "{}", run.err);
        run.out
    };
    assert_eq!(generate("7"), generate("7"));
    assert_ne!(generate("7"), generate("8"));
}

#[test]
fn every_pair_of_kv_types_generates() {
    let types = ["f16", "q8_0", "q4_0", "turbo4", "turbo3", "turbo2"];
    for k in types {
        for v in types {
            let run = run(&["run", "--raw", "-p", "It was a", "-n", "4", "--temp", "0", "--ctk", k, "--ctv", v]);
            assert_eq!(run.status, 0, "{k}/{v}: {}", run.err);
            assert!(run.err.contains(&format!("KV cache {k}/{v}")), "{}", run.err);
        }
    }
}

#[test]
fn threads_do_not_change_the_text() {
    let generate =
        |threads: &str| run(&["run", "--raw", "-p", "The ship", "-n", "16", "--seed", "1", "-t", threads]).out;
    assert_eq!(generate("1"), generate("3"));
}

#[test]
fn environment_variables_are_read_and_flags_win() {
    let mut by_variable = command(&["show", "--json"]);
    let run = finish(by_variable.env("LLAMA_ARG_CTX_SIZE", "1024"));
    assert!(run.out.contains(r#""context":1024"#), "{}", run.out);
    let mut ours_wins = command(&["show", "--json"]);
    let run = finish(ours_wins.env("LLAMA_ARG_CTX_SIZE", "1024").env("TURBO_CTX_SIZE", "2048"));
    assert!(run.out.contains(r#""context":2048"#), "{}", run.out);
    let mut flag_wins = command(&["show", "--json", "-c", "512"]);
    let run = finish(flag_wins.env("TURBO_CTX_SIZE", "2048"));
    assert!(run.out.contains(r#""context":512"#), "{}", run.out);
}

#[test]
fn help_and_version_are_no_errors() {
    assert_eq!(run(&["--help"]).status, 0);
    assert_eq!(run(&["--version"]).status, 0);
    assert_eq!(run(&["run", "--help"]).status, 0);
}
