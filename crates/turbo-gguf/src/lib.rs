//! The GGUF container: mapped reader, split files, writer and strict validator.
//!
//! Tensor bytes are never interpreted here; turbo-quant does that.
//!
//! [`GgufFile`] is the reader the engine loads with: versions 2 and 3, any key, split models,
//! unknown tensor types left alone until their bytes are asked for. [`write`](mod@write) and
//! [`validate`](mod@validate) rest on gguf-rs-lib, which knows version 3 only and refuses keys with
//! a hyphen; the tests compare both readers.
//!
//! ```no_run
//! use std::path::Path;
//! use turbo_gguf::{GgufError, GgufFile};
//!
//! fn read_all(path: &Path) -> Result<(), GgufError> {
//!     let file = GgufFile::open(path)?;
//!     let architecture = file.metadata().require_str("general.architecture")?;
//!     let layers = file.metadata().require_u64(&format!("{architecture}.block_count"))?;
//!     for tensor in file.tensors() {
//!         let bytes: &[u8] = file.data(tensor)?;
//!         assert_eq!(tensor.bytes(), Some(bytes.len() as u64));
//!     }
//!     # let _ = layers;
//!     Ok(())
//! }
//! ```

mod cursor;
mod error;
mod file;
mod get;
mod ggml_type;
mod metadata;
mod parse;
mod parse_tensors;
mod parse_values;
mod source;
mod split;
mod tensor;
pub mod validate;
mod value;
pub mod write;

pub use error::{GgufError, Section};
pub use file::GgufFile;
pub use get::PerLayer;
pub use ggml_type::GgmlType;
pub use metadata::Metadata;
pub use tensor::TensorInfo;
pub use value::{Array, Value};
