//! Models split over several files, as `llama-gguf-split` writes them.
//!
//! Source of the format: the `split.*` keys and file names of llama.cpp. Part `i` of `n` (from 1)
//! is `<prefix>-<i, 5 digits>-of-<n, 5 digits>.gguf` and holds `split.no` = i - 1 and
//! `split.count` = n; the first one holds all other metadata and `split.tensors.count`.

use std::path::{Path, PathBuf};

use crate::error::GgufError;
use crate::file::{Part, open_part};
use crate::metadata::Metadata;
use crate::parse::Parsed;
use crate::tensor::TensorInfo;

const COUNT: &str = "split.count";
const NUMBER: &str = "split.no";
const TENSORS: &str = "split.tensors.count";

/// All parts of a split model.
pub(crate) struct Set {
    pub(crate) parts: Vec<Part>,
    pub(crate) first: Parsed,
    pub(crate) other_tensors: Vec<TensorInfo>,
}

/// The number of parts, or `None` for a model in one file.
pub(crate) fn count(metadata: &Metadata) -> Result<Option<u64>, GgufError> {
    Ok(metadata.get_u64(COUNT)?.filter(|&count| count > 1))
}

/// Opens the other parts of a split model, of which `path` was opened as `part` and `parsed`.
pub(crate) fn open(path: &Path, count: u64, part: Part, parsed: Parsed) -> Result<Set, GgufError> {
    let Some(name) = PartName::of(path) else {
        return Err(GgufError::SplitName { file: part.name, count });
    };
    check_number(&parsed.metadata, name.number, name.count)?;
    let (part, first) = if name.number == 1 { (part, parsed) } else { open_numbered(&name, 1)? };
    let mut set = Set { parts: vec![part], first, other_tensors: Vec::new() };
    for number in 2..=name.count {
        let (part, parsed) = open_numbered(&name, number)?;
        set.parts.push(part);
        set.other_tensors.extend(parsed.tensors);
    }
    Ok(set)
}

/// Refuses parts that together hold another number of tensors than the first part says.
pub(crate) fn check_tensor_count(metadata: &Metadata, parts: usize, found: usize) -> Result<(), GgufError> {
    let (parts, found) = (parts as u64, found as u64);
    match metadata.get_u64(TENSORS)? {
        Some(expected) if expected != found => {
            let file = metadata.file().to_owned();
            Err(GgufError::SplitTensors { file, parts, found, expected })
        }
        _ => Ok(()),
    }
}

fn open_numbered(name: &PartName, number: u64) -> Result<(Part, Parsed), GgufError> {
    let opened = open_part(&name.path(number), number as usize - 1).map_err(|error| match error {
        GgufError::Open { file, source } => GgufError::SplitPart { file, part: number, count: name.count, source },
        other => other,
    })?;
    check_number(&opened.1.metadata, number, name.count)?;
    Ok(opened)
}

/// Refuses a part whose metadata contradict its file name.
fn check_number(metadata: &Metadata, number: u64, count: u64) -> Result<(), GgufError> {
    for (key, expected) in [(COUNT, count), (NUMBER, number - 1)] {
        let found = metadata.get_u64(key)?;
        if found != Some(expected) {
            let file = metadata.file().to_owned();
            let found = found.map_or("absent".to_owned(), |found| found.to_string());
            return Err(GgufError::SplitMismatch { file, key, found, expected });
        }
    }
    Ok(())
}

/// The name of a part, taken to pieces.
struct PartName {
    /// Path up to the hyphen before the part number.
    prefix: PathBuf,
    number: u64,
    count: u64,
}

impl PartName {
    /// Reads `<prefix>-00001-of-00003.gguf`.
    fn of(path: &Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let (number, count) = (five_digits(number)?, five_digits(count)?);
        (1..=count).contains(&number).then(|| Self { prefix: path.with_file_name(prefix), number, count })
    }

    /// The path of another part.
    fn path(&self, number: u64) -> PathBuf {
        let mut path = self.prefix.clone().into_os_string();
        path.push(format!("-{number:05}-of-{:05}.gguf", self.count));
        path.into()
    }
}

fn five_digits(text: &str) -> Option<u64> {
    let digits = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_names_are_read_and_rebuilt() {
        let name = PartName::of(Path::new("/m/a-b-of-c-00002-of-00013.gguf")).expect("a part name");
        assert_eq!((name.number, name.count), (2, 13));
        assert_eq!(name.path(1), Path::new("/m/a-b-of-c-00001-of-00013.gguf"));
        assert_eq!(name.path(13), Path::new("/m/a-b-of-c-00013-of-00013.gguf"));
    }

    #[test]
    fn other_names_are_not_parts() {
        for name in [
            "model.gguf",
            "m-1-of-3.gguf",
            "m-00001-of-00003.bin",
            "m-00000-of-00003.gguf",
            "m-00004-of-00003.gguf",
            "m-+0001-of-00003.gguf",
            "00001-of-00003.gguf",
            "..",
        ] {
            assert!(PartName::of(Path::new(name)).is_none(), "{name}");
        }
    }
}
