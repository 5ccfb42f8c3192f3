//! Test helpers: fixtures, a tiny GGUF writer, error measures. A dev-dependency only.

pub mod gguf;

use std::path::{Path, PathBuf};

pub use gguf::{GgufBuilder, Kv};

/// Path of a small fixture committed under `tests/fixtures` of the workspace.
///
/// # Panics
/// When the file is not there: a committed fixture must exist.
pub fn fixture(name: &str) -> PathBuf {
    let path = workspace().join("tests/fixtures").join(name);
    assert!(path.exists(), "committed fixture {} is missing", path.display());
    path
}

/// Path of a file in the `shared` folder beside the repository, if it is there.
///
/// Prints to stderr that a test part was not run when it is absent, so that nothing is skipped silently.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = workspace().join("../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("NOT RUN: {} is not available on this machine", path.display());
    None
}

/// The root folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).expect("crates/turbo-testkit has two parents")
}

/// Normalised mean squared error: sum((got - want)^2) / sum(want^2). 0 when both are all zero.
///
/// # Panics
/// When the lengths differ.
pub fn nmse(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len(), "nmse of slices of different lengths");
    let error: f64 = got.iter().zip(want).map(|(&g, &w)| (f64::from(g) - f64::from(w)).powi(2)).sum();
    let power: f64 = want.iter().map(|&w| f64::from(w).powi(2)).sum();
    if error == 0.0 { 0.0 } else { error / power }
}
