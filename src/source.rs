//! Where a model comes from: a file, or the one built into the program.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use turbo_gguf::GgufFile;
use turbo_runtime::Model;

/// Name of the built-in model.
pub(crate) const BUILT_IN: &str = "tiny-qwen3-34m.q4_k_m";

/// The built-in model; its card is assets/README.md.
static BUILT_IN_BYTES: &[u8] = include_bytes!("../assets/tiny-qwen3-34m.q4_k_m.gguf");

/// Opens the model at `path`, or the built-in one.
pub(crate) fn open(path: Option<&Path>) -> Result<Arc<Model>> {
    let model = match path {
        Some(path) => Model::open(path)?,
        None => Model::from_static(BUILT_IN, BUILT_IN_BYTES)?,
    };
    Ok(Arc::new(model))
}

/// Opens only the file.
pub(crate) fn open_file(path: Option<&Path>) -> Result<GgufFile> {
    Ok(match path {
        Some(path) => GgufFile::open(path)?,
        None => GgufFile::from_static(BUILT_IN, BUILT_IN_BYTES)?,
    })
}
