//! From the bytes of one file to its header, metadata and tensor table.
//!
//! Source of the layout: the GGUF specification in the ggml repository. Versions 2 and 3 have the
//! same little-endian layout.

use crate::cursor::Cursor;
use crate::error::{GgufError, Section, shown};
use crate::metadata::Metadata;
use crate::parse_tensors::tensor_table;
use crate::parse_values::value;
use crate::tensor::TensorInfo;
use crate::value::Value;

/// Alignment where `general.alignment` is absent.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Longest key that the specification allows, in bytes.
const KEY_LIMIT: u64 = 65_535;
/// Fewest bytes of a key/value pair: length of the key, type, value of one byte. An empty key is
/// refused later, with a message of its own.
const SMALLEST_PAIR: usize = 8 + 4 + 1;

/// What one file says.
pub(crate) struct Parsed {
    pub(crate) version: u32,
    pub(crate) alignment: u64,
    pub(crate) metadata: Metadata,
    pub(crate) tensors: Vec<TensorInfo>,
}

/// Reads everything but the tensor data. `part` is recorded in the tensors.
pub(crate) fn parse(file: &str, bytes: &[u8], part: usize) -> Result<Parsed, GgufError> {
    check_magic(file, bytes)?;
    let mut cursor = Cursor::new(file, bytes);
    cursor.u32(format_args!("the magic"))?;
    let version = version(&mut cursor)?;
    let n_tensors = cursor.u64(format_args!("the number of tensors"))?;
    let n_pairs = cursor.u64(format_args!("the number of key/value pairs"))?;
    let metadata = metadata(&mut cursor, n_pairs)?;
    let alignment = alignment(file, &metadata)?;
    let tensors = tensor_table(&mut cursor, n_tensors, alignment, bytes.len() as u64, part)?;
    Ok(Parsed { version, alignment, metadata, tensors })
}

fn check_magic(file: &str, bytes: &[u8]) -> Result<(), GgufError> {
    let found = match bytes {
        [b'G', b'G', b'U', b'F', ..] => return Ok(()),
        [] => "it is empty".to_owned(),
        short if short.len() < 4 => format!("it has only {} bytes", short.len()),
        [b'v', b'e', b'r', b's', ..] if bytes.starts_with(b"version https://git-lfs") => {
            "it is a git-lfs pointer, fetch the file itself (git lfs pull)".to_owned()
        }
        _ => format!("it starts with \"{}\"", bytes[..4].escape_ascii()),
    };
    Err(GgufError::NotGguf { file: file.to_owned(), found })
}

fn version(cursor: &mut Cursor<'_>) -> Result<u32, GgufError> {
    let version = cursor.u32(format_args!("the version"))?;
    let file = cursor.file.to_owned();
    match version {
        2 | 3 => Ok(version),
        // A small number in the other byte order has its low half empty.
        _ if version != 0 && version & 0xffff == 0 => Err(GgufError::BigEndian { file }),
        _ => Err(GgufError::Version { file, version }),
    }
}

fn metadata(cursor: &mut Cursor<'_>, n_pairs: u64) -> Result<Metadata, GgufError> {
    cursor.section = Section::Metadata;
    cursor.need(n_pairs, SMALLEST_PAIR, format_args!("a count of {n_pairs} key/value pairs"))?;
    let mut metadata = Metadata::new(cursor.file);
    for index in 0..n_pairs {
        let length = cursor.u64(format_args!("the length of key {index}"))?;
        if length == 0 || length > KEY_LIMIT {
            let file = cursor.file.to_owned();
            return Err(GgufError::KeyLength { file, index, length, limit: KEY_LIMIT });
        }
        let key = cursor.text(length, format_args!("the name of key {index}"))?;
        // Twice: once in the list of pairs, once in the index; and some for the index itself.
        let size = 2 * key.len() + 2 * size_of::<(String, Value)>();
        cursor.book(1, size, format_args!("key {}", shown(key)))?;
        let value = value(cursor, key)?;
        metadata.push(key, value)?;
    }
    Ok(metadata)
}

/// The alignment of the tensor data: `general.alignment`, a u32. The specification wants a multiple
/// of 8 and ggml a power of two; both hold for every file that other programs accept.
fn alignment(file: &str, metadata: &Metadata) -> Result<u64, GgufError> {
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&Value::U32(n)) if n.is_power_of_two() && n >= 8 => Ok(n.into()),
        Some(other) => Err(GgufError::Alignment { file: file.to_owned(), found: other.describe() }),
    }
}
