//! A tiny GGUF writer for tests, able to write what a careful writer refuses: version 2, hyphenated
//! keys, unknown types, wrong counts and any other damage. It checks nothing.

use std::path::{Path, PathBuf};

/// A metadata value to write.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each variant is the GGUF value type of that name")]
pub enum Kv {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Str(String),
    /// Element type id, then the elements; they are written as they are, of whatever type.
    Array(u32, Vec<Kv>),
    /// A value type id and the bytes after it, for values that no writer would produce.
    Raw(u32, Vec<u8>),
}

impl Kv {
    /// A string.
    pub fn str(text: &str) -> Self {
        Self::Str(text.to_owned())
    }

    /// An array of strings.
    pub fn strings<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Self {
        Self::Array(8, texts.into_iter().map(|text| Self::str(text.as_ref())).collect())
    }

    /// The value type id, as in the GGUF specification.
    pub fn type_id(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Str(_) => 8,
            Self::Array(..) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
            Self::Raw(id, _) => *id,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(v) => out.push(*v),
            Self::I8(v) => out.extend(v.to_le_bytes()),
            Self::U16(v) => out.extend(v.to_le_bytes()),
            Self::I16(v) => out.extend(v.to_le_bytes()),
            Self::U32(v) => out.extend(v.to_le_bytes()),
            Self::I32(v) => out.extend(v.to_le_bytes()),
            Self::U64(v) => out.extend(v.to_le_bytes()),
            Self::I64(v) => out.extend(v.to_le_bytes()),
            Self::F32(v) => out.extend(v.to_le_bytes()),
            Self::F64(v) => out.extend(v.to_le_bytes()),
            Self::Bool(v) => out.push(u8::from(*v)),
            Self::Str(v) => write_bytes(out, v.as_bytes()),
            Self::Array(id, elements) => {
                out.extend(id.to_le_bytes());
                out.extend((elements.len() as u64).to_le_bytes());
                elements.iter().for_each(|element| element.write(out));
            }
            Self::Raw(_, bytes) => out.extend(bytes),
        }
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

#[derive(Clone, Debug)]
struct Tensor {
    name: Vec<u8>,
    shape: Vec<u64>,
    type_id: u32,
    bytes: Vec<u8>,
    /// Written instead of the true offset.
    offset: Option<u64>,
}

/// Builds the bytes of a GGUF file.
///
/// ```
/// use turbo_testkit::gguf::{GgufBuilder, Kv};
/// let bytes = GgufBuilder::new(2)
///     .kv("gpt-oss.block_count", Kv::U32(2))
///     .tensor("w", &[4, 1], 0, &[0; 16])
///     .build();
/// assert_eq!(&bytes[..4], b"GGUF");
/// ```
#[derive(Clone, Debug)]
pub struct GgufBuilder {
    version: u32,
    alignment: u64,
    pairs: Vec<(Vec<u8>, Kv)>,
    tensors: Vec<Tensor>,
    n_pairs: Option<u64>,
    n_tensors: Option<u64>,
}

impl GgufBuilder {
    /// A file of this version without pairs and tensors, aligned to 32 bytes.
    pub fn new(version: u32) -> Self {
        Self { version, alignment: 32, pairs: Vec::new(), tensors: Vec::new(), n_pairs: None, n_tensors: None }
    }

    /// Adds a key/value pair, whatever the key, also one that is there already.
    #[must_use]
    pub fn kv(self, key: &str, value: Kv) -> Self {
        self.kv_bytes(key.as_bytes(), value)
    }

    /// Adds a pair whose key may be anything but UTF-8.
    #[must_use]
    pub fn kv_bytes(mut self, key: &[u8], value: Kv) -> Self {
        self.pairs.push((key.to_owned(), value));
        self
    }

    /// Adds a tensor: shape in ggml order (row length first), any type id, any number of bytes.
    #[must_use]
    pub fn tensor(self, name: &str, shape: &[u64], type_id: u32, bytes: &[u8]) -> Self {
        self.push(name.as_bytes(), shape, type_id, bytes, None)
    }

    /// Adds a tensor without data whose table entry claims `offset` in the data section.
    #[must_use]
    pub fn tensor_at(self, name: &str, shape: &[u64], type_id: u32, offset: u64) -> Self {
        self.push(name.as_bytes(), shape, type_id, &[], Some(offset))
    }

    /// Adds a tensor whose name may be anything but UTF-8.
    #[must_use]
    pub fn tensor_bytes(self, name: &[u8], shape: &[u64], type_id: u32, bytes: &[u8]) -> Self {
        self.push(name, shape, type_id, bytes, None)
    }

    /// Aligns the data to `alignment` bytes; does not add `general.alignment`.
    #[must_use]
    pub fn align(mut self, alignment: u64) -> Self {
        self.alignment = alignment;
        self
    }

    /// Claims another number of key/value pairs in the header.
    #[must_use]
    pub fn claim_pairs(mut self, n: u64) -> Self {
        self.n_pairs = Some(n);
        self
    }

    /// Claims another number of tensors in the header.
    #[must_use]
    pub fn claim_tensors(mut self, n: u64) -> Self {
        self.n_tensors = Some(n);
        self
    }

    fn push(mut self, name: &[u8], shape: &[u64], type_id: u32, bytes: &[u8], offset: Option<u64>) -> Self {
        let (name, shape, bytes) = (name.to_owned(), shape.to_owned(), bytes.to_owned());
        self.tensors.push(Tensor { name, shape, type_id, bytes, offset });
        self
    }

    /// The bytes of the file. Nothing follows the data of the last tensor.
    pub fn build(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.n_tensors.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.n_pairs.unwrap_or(self.pairs.len() as u64).to_le_bytes());
        for (key, value) in &self.pairs {
            write_bytes(&mut out, key);
            out.extend(value.type_id().to_le_bytes());
            value.write(&mut out);
        }
        let mut data: Vec<u8> = Vec::new();
        for tensor in &self.tensors {
            if tensor.offset.is_none() {
                self.pad(&mut data);
            }
            write_bytes(&mut out, &tensor.name);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.type_id.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.bytes);
        }
        self.pad(&mut out);
        out.extend(data);
        out
    }

    fn pad(&self, bytes: &mut Vec<u8>) {
        let length = (bytes.len() as u64).next_multiple_of(self.alignment.max(1));
        bytes.resize(length as usize, 0);
    }

    /// Builds the model as `n` parts, as llama.cpp splits one: all pairs in the first part, the
    /// `split.*` keys in each, tensors dealt out in order. Returns one builder per part.
    pub fn split(&self, n: u16) -> Vec<Self> {
        let share = self.tensors.len().div_ceil(usize::from(n).max(1)).max(1);
        (0..n)
            .map(|i| {
                let mut part = Self::new(self.version).align(self.alignment);
                if i == 0 {
                    part.pairs.clone_from(&self.pairs);
                }
                part.tensors = self.tensors.iter().skip(usize::from(i) * share).take(share).cloned().collect();
                part.kv("split.no", Kv::U16(i))
                    .kv("split.count", Kv::U16(n))
                    .kv("split.tensors.count", Kv::I32(self.tensors.len() as i32))
            })
            .collect()
    }
}

/// Writes the parts of a split model into `folder` as `<stem>-00001-of-0000n.gguf` and so on.
///
/// # Panics
/// When a file cannot be written.
pub fn write_parts(folder: &Path, stem: &str, parts: &[GgufBuilder]) -> Vec<PathBuf> {
    let write = |(i, part): (usize, &GgufBuilder)| {
        let path = folder.join(format!("{stem}-{:05}-of-{:05}.gguf", i + 1, parts.len()));
        std::fs::write(&path, part.build()).expect("writing a part into a test folder");
        path
    };
    parts.iter().enumerate().map(write).collect()
}
