//! The error type of the container.

use std::fmt;
use std::io;

/// The part of a GGUF file in which something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Magic, version and the two counts.
    Header,
    /// The key/value pairs.
    Metadata,
    /// The names, shapes, types and offsets of the tensors.
    TensorTable,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the header",
            Self::Metadata => "the metadata",
            Self::TensorTable => "the tensor table",
        })
    }
}

/// Why a GGUF file could not be opened, read or written. Every message is one line.
///
/// `file` is the path (or name) of the file or part, `key` a metadata key, `tensor` a tensor name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "field names are explained once, above; messages say the rest")]
pub enum GgufError {
    /// The operating system refused to open, inspect or map the file.
    #[error("{file}: cannot be opened: {source}")]
    Open { file: String, source: io::Error },

    /// The path leads to something that is not a regular file.
    #[error("{file}: is a {found}, expected a GGUF file")]
    NotAFile { file: String, found: &'static str },

    /// The first bytes are not `GGUF`.
    #[error("{file}: not a GGUF file: {found}, expected it to start with \"GGUF\"")]
    NotGguf { file: String, found: String },

    /// The file is written in big-endian byte order.
    #[error(
        "{file}: is a big-endian GGUF file, expected little-endian; convert it with the \
         gguf_convert_endian script of gguf-py"
    )]
    BigEndian { file: String },

    /// The container version is not one that is read.
    #[error("{file}: GGUF version {version} is not supported, expected 2 or 3; convert the model again")]
    Version { file: String, version: u32 },

    /// A length, count or field reaches beyond the end of the file.
    #[error("{file}: unexpected end of file in {section}: {what}, but only {left} bytes are left")]
    UnexpectedEnd { file: String, section: Section, what: String, left: u64 },

    /// The decoded metadata and tensor table would take more memory than is allowed.
    #[error(
        "{file}: {section} would take more than {} MiB of memory at {what}; the file is damaged",
        limit >> 20
    )]
    TooLarge { file: String, section: Section, what: String, limit: u64 },

    /// A string is not UTF-8.
    #[error("{file}: {what} is not valid UTF-8 (byte {at} of it)")]
    NotUtf8 { file: String, what: String, at: usize },

    /// A key is empty or too long.
    #[error("{file}: the name of key {index} has a string length of {length} bytes, expected 1 to {limit}")]
    KeyLength { file: String, index: u64, length: u64, limit: u64 },

    /// A key occurs twice.
    #[error("{file}: key {} occurs twice", shown(key))]
    DuplicateKey { file: String, key: String },

    /// A metadata value has an unknown type.
    #[error("{file}: key {} has value type {id}, expected a type id of 0 to 12", shown(key))]
    ValueType { file: String, key: String, id: u32 },

    /// A boolean is neither 0 nor 1.
    #[error("{file}: key {} holds the boolean byte {found}, expected 0 or 1", shown(key))]
    Boolean { file: String, key: String, found: u8 },

    /// Arrays are nested too deep.
    #[error("{file}: key {} nests arrays deeper than {limit} levels", shown(key))]
    Nesting { file: String, key: String, limit: usize },

    /// `general.alignment` is unusable.
    #[error("{file}: key \"general.alignment\" is {found}, expected a u32 power of two of at least 8")]
    Alignment { file: String, found: String },

    /// A required key is absent.
    #[error("{file}: key {} is missing, expected {expected}", shown(key))]
    MissingKey { file: String, key: String, expected: &'static str },

    /// A key holds a value of another type, or one that does not fit the type asked for.
    #[error("{file}: key {} is {found}, expected {expected}", shown(key))]
    WrongValue { file: String, key: String, found: String, expected: &'static str },

    /// A tensor name is empty or too long.
    #[error("{file}: the name of tensor {index} has a string length of {length} bytes, expected 1 to {limit}")]
    TensorName { file: String, index: u64, length: u64, limit: u64 },

    /// Two tensors have the same name.
    #[error("{file}: tensor {} occurs twice", shown(tensor))]
    DuplicateTensor { file: String, tensor: String },

    /// A tensor has no dimension or too many.
    #[error("{file}: tensor {} has {found} dimensions, expected 1 to 4", shown(tensor))]
    Dimensions { file: String, tensor: String, found: u32 },

    /// A dimension is zero.
    #[error("{file}: tensor {} has shape {shape:?}, expected no dimension of 0", shown(tensor))]
    ZeroDimension { file: String, tensor: String, shape: Vec<u64> },

    /// The number of values or bytes does not fit 64 bits.
    #[error("{file}: tensor {} has shape {shape:?}, whose size does not fit in 64 bits", shown(tensor))]
    Size { file: String, tensor: String, shape: Vec<u64> },

    /// A row is not a whole number of blocks.
    #[error(
        "{file}: tensor {} has rows of {cols} values, expected a multiple of the {block} values \
         of a {ty} block",
        shown(tensor)
    )]
    Blocks { file: String, tensor: String, cols: u64, ty: &'static str, block: u64 },

    /// The data of a tensor do not start at a multiple of the alignment.
    #[error(
        "{file}: tensor {} has data offset {offset}, expected a multiple of the alignment \
         {alignment}",
        shown(tensor)
    )]
    Misaligned { file: String, tensor: String, offset: u64, alignment: u64 },

    /// The data of a tensor reach beyond the end of the file. `offset` counts from the start of the
    /// data section, which begins at byte `data_start`.
    #[error(
        "{file}: tensor {} has {bytes} bytes at data offset {offset} (data starts at byte \
         {data_start}), beyond the end of the file of {file_bytes} bytes; it is truncated or \
         damaged",
        shown(tensor)
    )]
    OutOfBounds { file: String, tensor: String, bytes: u64, offset: u64, data_start: u64, file_bytes: u64 },

    /// The data of two tensors overlap.
    #[error("{file}: the data of tensors {} and {} overlap", shown(tensor), shown(other))]
    Overlap { file: String, tensor: String, other: String },

    /// The bytes of a tensor of an unknown type were asked for.
    #[error("{file}: tensor {} has the unsupported type id {id}: {hint}", shown(tensor))]
    UnknownType { file: String, tensor: String, id: u32, hint: &'static str },

    /// A part of a split model has a name from which the others cannot be found.
    #[error(
        "{file}: is one of {count} parts of a split model, expected a file name ending in \
         -00001-of-{count:05}.gguf; give the parts their original names"
    )]
    SplitName { file: String, count: u64 },

    /// A part of a split model is not there.
    #[error("{file}: is part {part} of {count} of a split model and cannot be opened: {source}")]
    SplitPart { file: String, part: u64, count: u64, source: io::Error },

    /// The parts of a split model contradict each other or their file names.
    #[error("{file}: key \"{key}\" is {found}, expected {expected}; the parts do not belong together")]
    SplitMismatch { file: String, key: &'static str, found: String, expected: u64 },

    /// The parts together hold another number of tensors than the first part says.
    #[error(
        "{file}: key \"split.tensors.count\" is {expected}, but the {parts} parts hold {found} \
         tensors; the parts do not belong together"
    )]
    SplitTensors { file: String, parts: u64, found: u64, expected: u64 },

    /// A model in memory claims to be one part of a split one.
    #[error("{file}: is one of {count} parts of a split model, expected a whole model in memory")]
    SplitInMemory { file: String, count: u64 },

    /// A file could not be written.
    #[error("{file}: cannot be written: {reason}")]
    Write { file: String, reason: String },
}

/// A name from a file as it appears in a message: quoted, on one line, shortened.
pub(crate) fn shown(name: &str) -> Shown<'_> {
    Shown(name)
}

pub(crate) struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 100;
        match self.0.char_indices().nth(LONGEST) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}... ({} bytes)", &self.0[..end], self.0.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_on_one_short_line() {
        assert_eq!(shown("blk.0.attn_q.weight").to_string(), "\"blk.0.attn_q.weight\"");
        assert_eq!(shown("a\nb").to_string(), "\"a\\nb\"");
        let long = shown(&"\u{e9}".repeat(60_000)).to_string();
        assert!(long.len() < 300 && long.ends_with("... (120000 bytes)"), "{long}");
    }
}
