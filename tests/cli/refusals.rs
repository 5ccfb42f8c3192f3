//! Everything the command refuses: exit status 1 and one clear message.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use turbo_testkit::{fixture, workspace};

use crate::program::{arg, command, finish, run};

/// Runs and returns the error, asserting status 1 and an `error: ` line.
fn refused(args: &[&str]) -> String {
    let run = run(args);
    assert_eq!(run.status, 1, "{args:?} printed {} {}", run.out, run.err);
    assert!(run.out.is_empty(), "{args:?} printed {}", run.out);
    assert!(run.err.starts_with("error: "), "{args:?} printed {}", run.err);
    run.err
}

#[test]
fn every_broken_file_is_refused_quickly_in_one_line() {
    let names = std::fs::read_dir(workspace().join("tests/fixtures/bad")).expect("the fixtures are there");
    let mut broken = 0;
    for entry in names.map(|entry| entry.expect("a readable folder").path()) {
        let name = entry.file_stem().expect("a file").to_string_lossy().into_owned();
        if entry.extension().is_none_or(|end| end != "gguf") || name == "control_good" {
            continue;
        }
        let start = Instant::now();
        let error = refused(&["run", "-m", arg(&entry), "-p", "hello", "-n", "1"]);
        assert!(start.elapsed() < Duration::from_secs(1), "{name} took {:?}", start.elapsed());
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(&format!("{name}.gguf")), "{error}");
        broken += 1;
    }
    assert_eq!(broken, 15, "broken fixtures");
}

#[test]
fn the_control_file_runs() {
    let file = fixture("bad/control_good.gguf");
    let run = run(&["run", "-m", arg(&file), "-p", "hello", "-n", "3", "--temp", "0"]);
    assert_eq!(run.status, 0, "{}", run.err);
}

#[test]
fn paths_that_are_no_models() {
    let missing = refused(&["run", "-m", "no/such/file.gguf", "-p", "x"]);
    assert_eq!(missing, "error: no/such/file.gguf: cannot be opened: No such file or directory (os error 2)\n");
    let folder = refused(&["show", arg(workspace())]);
    assert!(folder.contains("is a directory, expected a GGUF file"), "{folder}");
    let text = refused(&["tokenize", "-m", arg(&workspace().join("Cargo.toml")), "x"]);
    assert!(text.contains("not a GGUF file"), "{text}");
}

#[test]
fn an_unknown_kv_type_lists_the_valid_ones() {
    for flag in ["--ctk", "--ctv", "-ctk", "-ctv"] {
        let error = refused(&["serve", flag, "turbo5"]);
        assert!(error.contains("valid types are f16, q8_0, q4_0, turbo4, turbo3, turbo2"), "{error}");
    }
    let mut by_variable = command(&["run", "-p", "x"]);
    let run = finish(by_variable.env("LLAMA_ARG_CACHE_TYPE_K", "turbo5"));
    assert!(run.status == 1 && run.err.contains("valid types are"), "{}", run.err);
}

#[test]
fn a_context_that_does_not_fit_says_what_would() {
    let error = refused(&["run", "-p", "x", "-c", "99999999999", "--device", "cpu"]);
    let start =
        "error: tiny-qwen3-34m.q4_k_m with a context of 99999999999 tokens does not fit in the memory of cpu:\n";
    assert!(error.starts_with(start), "{error}");
    for row in ["  weights ", "  KV cache f16/f16 ", "762939.45 GiB", "  working memory ", "  total ", "  free "] {
        assert!(error.contains(row), "{row}: {error}");
    }
    assert!(
        error.contains("the largest context that fits is") && error.contains("; with a smaller KV type"),
        "{error}"
    );
    let error = refused(&["run", "-p", "x", "-c", "0"]);
    assert_eq!(error, "error: a context of 0 tokens holds nothing: give -c a positive number of tokens\n");
}

#[test]
fn a_prompt_longer_than_the_context_gives_both_counts() {
    let run = run(&["run", "--raw", "-c", "4", "-p", "one two three four five six seven"]);
    assert_eq!(run.status, 1, "{}", run.err);
    let error = run.err.lines().last().unwrap_or_default();
    assert!(error.starts_with("error: the prompt has "), "{error}");
    assert!(error.contains("the context holds 4 (prompt and answer together)"), "{error}");
}

#[test]
fn a_port_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let error = refused(&["serve", "--port", &port]);
    assert_eq!(
        error,
        format!(
            "error: port {port} of 127.0.0.1 is in use by another program: stop that one, or choose another with --port\n"
        )
    );
}

#[test]
fn parameters_out_of_range() {
    let error = refused(&["run", "-p", "x", "--temp", "-1"]);
    assert_eq!(error, "error: temperature is -1, expected 0 or more\n");
    let error = refused(&["run", "-p", "x", "--top-p", "1.5"]);
    assert_eq!(error, "error: top_p is 1.5, expected 0 to 1\n");
    let error = refused(&["logits", "--ids", "1,99999"]);
    assert_eq!(error, "error: token id 99999 is not in the vocabulary of 8192 tokens\n");
    let error = refused(&["perplexity", "-f", "no/such/text", "-c", "64"]);
    assert!(error.starts_with("error: no/such/text cannot be read"), "{error}");
}

#[test]
fn a_text_shorter_than_a_window() {
    let file = std::env::temp_dir().join(format!("turbo-short-{}.txt", std::process::id()));
    std::fs::write(&file, "too short").expect("a writable folder");
    let error = refused(&["perplexity", "-f", arg(&file)]);
    std::fs::remove_file(&file).expect("the file is ours");
    assert!(error.contains("a window of 512 cannot be filled: give a longer text or a smaller -c"), "{error}");
}
