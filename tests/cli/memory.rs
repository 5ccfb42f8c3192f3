//! Peak memory of a run: the file, the KV cache it states, and 120 MB.

use std::process::Stdio;
use std::time::Duration;

use turbo_testkit::workspace;

use crate::program::{arg, command};

#[cfg(target_os = "linux")]
#[test]
fn a_run_takes_its_file_its_cache_and_at_most_120_mb() {
    let model = workspace().join("assets/tiny-qwen3-34m.q4_k_m.gguf");
    let file = std::fs::metadata(&model).expect("the built-in model is in the repository").len();
    // 8 slots of 2 heads of 128, K and V, 2048 tokens.
    for (kv, cache) in [("f16", 2048 * 8 * 2 * 2 * 128 * 2), ("turbo4", 2048 * 8 * 2 * 2 * 132 / 2)] {
        let prompt = "It was a bright morning and nothing happened. ".repeat(100);
        let args =
            ["run", "-m", arg(&model), "-c", "2048", "--raw", "-p", &prompt, "-n", "16", "--ctk", kv, "--ctv", kv];
        let peak = peak_bytes(&args);
        let budget = file + cache + 120_000_000;
        assert!(peak > file / 2 && peak <= budget, "{kv}: peak of {peak} bytes, budget {budget}");
    }
}

/// The largest resident set that was seen while the command ran.
fn peak_bytes(args: &[&str]) -> u64 {
    let mut child = command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts");
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) {
            peak = kib * 1024;
        }
        match child.try_wait().expect("the child is ours") {
            Some(status) => {
                assert!(status.success(), "the run failed: {status}");
                return peak;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}
