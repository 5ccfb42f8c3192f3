//! The ggml types against values and bytes of the gguf Python package, and against themselves.

mod encode;
mod errors;
mod fixtures;
mod properties;
mod unlisted;
