//! Repository chores: `cargo run -p xtask -- twins|size`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lines above which a file of Rust or WGSL is refused.
const MAX_RUST: usize = 600;
const MAX_WGSL: usize = 350;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let problems = match std::env::args().nth(1).as_deref() {
        Some("twins") => twins(&root),
        Some("size") => size(&root),
        _ => {
            eprintln!("usage: xtask twins   every kernel has its CPU twin and its parity cases");
            eprintln!("       xtask size    no source file is too long");
            return ExitCode::FAILURE;
        }
    };
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Kernels without a twin in turbo-cpu or cases in turbo-parity of the same family and stem.
fn twins(root: &Path) -> Vec<String> {
    let kernels = root.join("wgsl/kernels");
    let mut problems = Vec::new();
    for file in files(&kernels, "wgsl") {
        let stem = file.strip_prefix(&kernels).unwrap_or(&file).with_extension("rs");
        for folder in ["crates/turbo-cpu/src", "crates/turbo-parity/src"] {
            if !root.join(folder).join(&stem).exists() {
                problems.push(format!("{} has no {folder}/{}", file.display(), stem.display()));
            }
        }
    }
    problems
}

/// Source files that are longer than a reader wants.
fn size(root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for (end, limit) in [("rs", MAX_RUST), ("wgsl", MAX_WGSL)] {
        for folder in ["src", "crates", "wgsl", "tests", "xtask", "examples"] {
            for file in files(&root.join(folder), end) {
                let lines = std::fs::read_to_string(&file).map_or(0, |text| text.lines().count());
                if lines > limit {
                    problems.push(format!("{}: {lines} lines, at most {limit}", file.display()));
                }
            }
        }
    }
    problems
}

/// All files with this ending below a folder, in order of name.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
