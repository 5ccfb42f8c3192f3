//! A second opinion on a file: the strict checks of gguf-rs-lib.
//!
//! gguf-rs-lib 0.3.3 knows only version 3 and a fixed list of tensor types, and wants keys in
//! dot-separated `lower_snake_case`, which many real models do not have (`gpt-oss.block_count`). A
//! refusal for one of these reasons says nothing against the file, so the verdict names them.

use std::io::Cursor;

use gguf_rs_lib::format::GGUFTensorType;
use gguf_rs_lib::reader::GGUFFileReader;

use crate::GgufFile;

/// What gguf-rs-lib says about a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It accepts every part.
    Valid,
    /// It refuses a part.
    Refused {
        /// Path of the part.
        file: String,
        /// Its own words.
        reason: String,
        /// What the part has that gguf-rs-lib cannot read though the format allows it.
        known_limit: Option<String>,
    },
}

/// Asks gguf-rs-lib about every part of an opened model. Tensor data are not read.
pub fn validate(file: &GgufFile) -> Verdict {
    for (part, (name, bytes)) in file.part_bytes().enumerate() {
        if let Err(reason) = check(bytes) {
            let known_limit = known_limit(file, part);
            return Verdict::Refused { file: name.to_owned(), reason, known_limit };
        }
    }
    Verdict::Valid
}

/// Asks gguf-rs-lib about the bytes of one file: header, metadata, tensor table and data ranges.
///
/// # Errors
/// Its reason for refusing them.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    GGUFFileReader::new(Cursor::new(bytes)).map(|_| ()).map_err(|error| error.to_string())
}

/// The first thing in a part that is beyond gguf-rs-lib.
fn known_limit(file: &GgufFile, part: usize) -> Option<String> {
    if file.version() != 3 {
        return Some(format!("gguf-rs-lib reads version 3 only, this is version {}", file.version()));
    }
    if let Some((key, _)) = file.metadata().iter().find(|(key, _)| part == 0 && !plain_key(key)) {
        return Some(format!("gguf-rs-lib wants keys in lower_snake_case, this has {key:?}"));
    }
    let mut tensors = file.tensors().iter().filter(|tensor| tensor.part() == part);
    let unknown = tensors.find(|tensor| GGUFTensorType::from_u32(tensor.type_id).is_err())?;
    let (id, name) = (unknown.type_id, &unknown.name);
    Some(format!("gguf-rs-lib does not know the type id {id} of tensor {name:?}"))
}

/// Whether gguf-rs-lib takes a key: words of lower-case letters and digits between `_` and `.`.
fn plain_key(key: &str) -> bool {
    key.split(['.', '_']).all(|word| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !word.is_empty() && word.bytes().all(plain)
    })
}
