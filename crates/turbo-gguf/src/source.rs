//! Where the bytes of a file come from: a mapping, or memory.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::error::GgufError;

/// The bytes of one file.
pub(crate) enum Source {
    Mapped(Mmap),
    Memory(Cow<'static, [u8]>),
}

impl Source {
    /// Maps a regular file. An empty file, which cannot be mapped, becomes empty memory.
    ///
    /// # Errors
    /// [`GgufError::Open`], [`GgufError::NotAFile`].
    pub(crate) fn map(path: &Path) -> Result<Self, GgufError> {
        let file = path.display().to_string();
        let fail = |source| GgufError::Open { file: file.clone(), source };
        // Asked before opening: opening a pipe would wait for its writer.
        let kind = std::fs::metadata(path).map_err(fail)?.file_type();
        if !kind.is_file() {
            let found = if kind.is_dir() { "directory" } else { "device or pipe" };
            return Err(GgufError::NotAFile { file, found });
        }
        let opened = File::open(path).map_err(fail)?;
        if opened.metadata().map_err(fail)?.len() == 0 {
            return Ok(Self::Memory(Cow::Borrowed(&[])));
        }
        // SAFETY: the mapping is private and only read. As with every mapped model, the file must
        // not be truncated or rewritten in place while it is open; `GgufFile::open` says so.
        let map = unsafe { Mmap::map(&opened) }.map_err(fail)?;
        Ok(Self::Mapped(map))
    }
}

impl Deref for Source {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}
