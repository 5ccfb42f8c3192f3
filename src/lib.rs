//! turbo-wgpu as a library: the crates of the engine under one roof.
//!
//! [`runtime::Model`] opens a GGUF file, [`runtime::Context`] loads it on a backend with a KV cache,
//! [`runtime::Runtime`] generates text for many callers at once. `examples/chat.rs` shows all three in 30 lines,
//! `examples/compress.rs` the KV codec alone. ARCHITECTURE.md is the map of the crates.

pub use turbo_backend as backend;
pub use turbo_cpu as cpu;
pub use turbo_gguf as gguf;
pub use turbo_gpu as gpu;
pub use turbo_model as model;
pub use turbo_quant as quant;
pub use turbo_runtime as runtime;
pub use turbo_server as server;
pub use turbo_text as text;
