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

/// `found`, the GPUs to test on. There must be one, unless `TURBO_TEST_NO_GPU=1` says that none is expected; then it prints
/// to stderr that a test was not run.
///
/// # Panics
/// When there is none and that is not excused.
pub fn gpus_found<T>(found: Vec<T>) -> Vec<T> {
    if found.is_empty() {
        let excused = std::env::var_os("TURBO_TEST_NO_GPU").is_some_and(|v| v == "1");
        assert!(
            excused,
            "no GPU adapter was found: install a software one (Debian: mesa-vulkan-drivers and libegl1), or set \
             TURBO_TEST_NO_GPU=1 to go without"
        );
        eprintln!("NOT RUN: no GPU adapter was found, and TURBO_TEST_NO_GPU=1 is set");
    }
    found
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

/// Attention of one query head in float64, over keys of `q.len()` and values of `d_v` values: softmax(scale q k) v.
///
/// # Panics
/// When there are no keys.
pub fn attention(q: &[f32], keys: &[f32], values: &[f32], d_v: usize, scale: f64) -> Vec<f64> {
    let dot = |k: &[f32]| k.iter().zip(q).map(|(&k, &q)| f64::from(k) * f64::from(q)).sum::<f64>();
    let logits: Vec<f64> = keys.chunks_exact(q.len()).map(|k| dot(k) * scale).collect();
    let largest = logits.iter().copied().reduce(f64::max).expect("attention over at least one key");
    let (mut out, mut total) = (vec![0.0; d_v], 0.0);
    for (logit, v) in logits.iter().zip(values.chunks_exact(d_v)) {
        let p = (logit - largest).exp();
        total += p;
        out.iter_mut().zip(v).for_each(|(sum, &v)| *sum += p * f64::from(v));
    }
    out.iter_mut().for_each(|sum| *sum /= total);
    out
}
