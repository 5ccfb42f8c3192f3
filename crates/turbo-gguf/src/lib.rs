//! The GGUF container: mapped reader, split files, writer and strict validator.
//!
//! Tensor bytes are never interpreted here; turbo-quant does that.

mod ggml_type;

pub use ggml_type::GgmlType;
