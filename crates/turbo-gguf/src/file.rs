//! An opened model.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use crate::error::GgufError;
use crate::metadata::Metadata;
use crate::parse::{Parsed, parse};
use crate::source::Source;
use crate::split;
use crate::tensor::{TensorInfo, unknown_type_hint};

/// One file of a model.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) source: Source,
}

/// One GGUF model: a single file, or all parts of a split one.
///
/// Header, metadata and tensor table are read and checked when it is opened; tensor data stay where
/// they are and are handed out as slices. It can be shared between threads.
pub struct GgufFile {
    parts: Vec<Part>,
    version: u32,
    alignment: u64,
    metadata: Metadata,
    tensors: Vec<TensorInfo>,
    index: HashMap<String, usize>,
}

impl GgufFile {
    /// Opens and maps a model. Of a split model (`name-00001-of-00003.gguf`) any part may be given;
    /// the others are found beside it.
    ///
    /// The files must not be changed while the model is open: a mapping shows such changes, and
    /// reading a part that was cut off ends the process.
    ///
    /// # Errors
    /// Every variant of [`GgufError`] that is about reading; each names the file.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let (part, parsed) = open_part(path, 0)?;
        match split::count(&parsed.metadata)? {
            None => Self::assemble(vec![part], parsed, Vec::new()),
            Some(count) => {
                let set = split::open(path, count, part, parsed)?;
                Self::assemble(set.parts, set.first, set.other_tensors)
            }
        }
    }

    /// A model built into the program. `name` stands for the path in messages.
    ///
    /// The bytes need no alignment; the slices from [`data`](Self::data) then have none either.
    ///
    /// # Errors
    /// As [`open`](Self::open); a part of a split model is refused.
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, GgufError> {
        Self::from_memory(name, Cow::Borrowed(bytes))
    }

    /// A model held in memory. `name` stands for the path in messages.
    ///
    /// # Errors
    /// As [`from_static`](Self::from_static).
    pub fn from_vec(name: &str, bytes: Vec<u8>) -> Result<Self, GgufError> {
        Self::from_memory(name, Cow::Owned(bytes))
    }

    fn from_memory(name: &str, bytes: Cow<'static, [u8]>) -> Result<Self, GgufError> {
        let parsed = parse(name, &bytes, 0)?;
        if let Some(count) = split::count(&parsed.metadata)? {
            return Err(GgufError::SplitInMemory { file: name.to_owned(), count });
        }
        let part = Part { name: name.to_owned(), source: Source::Memory(bytes) };
        Self::assemble(vec![part], parsed, Vec::new())
    }

    /// Puts the parts together; `first` is what part 0 says, `others` are the tensors of the rest.
    fn assemble(parts: Vec<Part>, first: Parsed, others: Vec<TensorInfo>) -> Result<Self, GgufError> {
        let Parsed { version, alignment, metadata, mut tensors } = first;
        tensors.extend(others);
        split::check_tensor_count(&metadata, parts.len(), tensors.len())?;
        let mut index = HashMap::with_capacity(tensors.len());
        for (i, tensor) in tensors.iter().enumerate() {
            if index.insert(tensor.name.clone(), i).is_some() {
                let (file, tensor) = (parts[tensor.part].name.clone(), tensor.name.clone());
                return Err(GgufError::DuplicateTensor { file, tensor });
            }
        }
        Ok(Self { parts, version, alignment, metadata, tensors, index })
    }

    /// Path of the model for messages; of a split one, that of its first part.
    pub fn path(&self) -> &str {
        &self.parts[0].name
    }

    /// Paths of all parts, first part first.
    pub fn part_paths(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parts.iter().map(|part| part.name.as_str())
    }

    /// The bytes of all parts, first part first.
    pub(crate) fn part_bytes(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.parts.iter().map(|part| (part.name.as_str(), &*part.source))
    }

    /// GGUF version, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Alignment of the tensor data within the file, in bytes: a power of two of at least 8. In a
    /// mapped file the slices of [`data`](Self::data) have it too, up to the page size.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Size in bytes, all parts together.
    pub fn file_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.source.len() as u64).sum()
    }

    /// The metadata; of a split model, those of its first part.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All tensors, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).map(|&i| &self.tensors[i])
    }

    /// The bytes of a tensor of this model: `rows` rows of blocks, without copying.
    ///
    /// # Errors
    /// [`GgufError::UnknownType`] where the type is not known, and [`GgufError::OutOfBounds`] for a
    /// tensor of another model that does not fit into this one.
    pub fn data(&self, tensor: &TensorInfo) -> Result<&[u8], GgufError> {
        let part = self.parts.get(tensor.part);
        let file = part.map_or(self.path(), |part| &part.name).to_owned();
        let Some(bytes) = tensor.bytes() else {
            let (id, hint) = (tensor.type_id, unknown_type_hint(tensor.type_id));
            return Err(GgufError::UnknownType { file, tensor: tensor.name.clone(), id, hint });
        };
        let slice = part.and_then(|part| {
            let start = usize::try_from(tensor.offset).ok()?;
            let end = start.checked_add(usize::try_from(bytes).ok()?)?;
            part.source.get(start..end)
        });
        slice.ok_or_else(|| GgufError::OutOfBounds {
            file,
            tensor: tensor.name.clone(),
            bytes,
            offset: tensor.offset,
            data_start: 0,
            file_bytes: part.map_or(0, |part| part.source.len() as u64),
        })
    }
}

impl fmt::Debug for GgufFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GgufFile")
            .field("path", &self.path())
            .field("parts", &self.parts.len())
            .field("version", &self.version)
            .field("pairs", &self.metadata.len())
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

/// Maps and reads one file.
pub(crate) fn open_part(path: &Path, part: usize) -> Result<(Part, Parsed), GgufError> {
    let name = path.display().to_string();
    let source = Source::map(path)?;
    let parsed = parse(&name, &source, part)?;
    Ok((Part { name, source }, parsed))
}
