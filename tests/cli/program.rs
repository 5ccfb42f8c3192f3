//! Running the command.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the command left behind.
pub(crate) struct Run {
    /// Exit status.
    pub(crate) status: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// The command, with no environment variable of ours or of llama.cpp's set.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turbo-wgpu"));
    for (name, _) in std::env::vars() {
        if name.starts_with("TURBO_") || name.starts_with("LLAMA_ARG_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the command to its end.
pub(crate) fn run(args: &[&str]) -> Run {
    finish(&mut command(args))
}

/// Runs a prepared command to its end.
pub(crate) fn finish(command: &mut Command) -> Run {
    let output = command.output().expect("the command starts");
    Run {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
    }
}

/// Runs the command with `--json` output and parses it.
pub(crate) fn json(args: &[&str]) -> serde_json::Value {
    let run = run(args);
    assert_eq!(run.status, 0, "{args:?} failed: {}", run.err);
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{args:?} printed no JSON ({error}): {}", run.out))
}

/// A path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}
