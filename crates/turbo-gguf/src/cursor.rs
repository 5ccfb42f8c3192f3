//! A bounded reader over the bytes of a file: every length is checked before it is used.

use std::fmt::Arguments;

use crate::error::{GgufError, Section};

/// Most memory that the decoded metadata and tensor table of one file may take. Real vocabularies
/// of 256 thousand tokens take about 30 MiB.
pub(crate) const MEMORY_LIMIT: u64 = 256 << 20;

pub(crate) struct Cursor<'a> {
    pub(crate) file: &'a str,
    /// Where the cursor stands, for messages.
    pub(crate) section: Section,
    bytes: &'a [u8],
    position: usize,
    memory_left: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(file: &'a str, bytes: &'a [u8]) -> Self {
        Self { file, section: Section::Header, bytes, position: 0, memory_left: MEMORY_LIMIT }
    }

    /// The next `N` bytes.
    pub(crate) fn fixed<const N: usize>(&mut self, what: Arguments<'_>) -> Result<[u8; N], GgufError> {
        let Some((head, _)) = self.rest().split_first_chunk() else {
            return Err(self.end(format_args!("{what} takes {N} bytes")));
        };
        self.position += N;
        Ok(*head)
    }

    pub(crate) fn u32(&mut self, what: Arguments<'_>) -> Result<u32, GgufError> {
        self.fixed(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: Arguments<'_>) -> Result<u64, GgufError> {
        self.fixed(what).map(u64::from_le_bytes)
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> u64 {
        self.position as u64
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    fn end(&self, what: Arguments<'_>) -> GgufError {
        GgufError::UnexpectedEnd {
            file: self.file.to_owned(),
            section: self.section,
            what: what.to_string(),
            left: self.rest().len() as u64,
        }
    }

    /// The next `count` elements of `size` bytes each.
    pub(crate) fn take(&mut self, count: u64, size: usize, what: Arguments<'_>) -> Result<&'a [u8], GgufError> {
        self.need(count, size, what)?;
        // `need` has shown that the product does not exceed a slice length.
        let (head, _) = self.rest().split_at(count as usize * size);
        self.position += head.len();
        Ok(head)
    }

    /// Refuses a count of elements, each of at least `size` bytes, that cannot be in the file.
    pub(crate) fn need(&self, count: u64, size: usize, what: Arguments<'_>) -> Result<(), GgufError> {
        let need = u128::from(count) * size as u128;
        if need > self.rest().len() as u128 {
            return Err(self.end(format_args!("{what} takes at least {need} bytes")));
        }
        Ok(())
    }

    /// Books memory that decoded values are going to take.
    pub(crate) fn book(&mut self, count: u64, size: usize, what: Arguments<'_>) -> Result<(), GgufError> {
        let left = count.checked_mul(size as u64).and_then(|n| self.memory_left.checked_sub(n));
        let Some(left) = left else {
            return Err(GgufError::TooLarge {
                file: self.file.to_owned(),
                section: self.section,
                what: what.to_string(),
                limit: MEMORY_LIMIT,
            });
        };
        self.memory_left = left;
        Ok(())
    }

    /// A string: its length as `u64`, then UTF-8.
    pub(crate) fn string(&mut self, what: Arguments<'_>) -> Result<&'a str, GgufError> {
        let length = self.u64(format_args!("the length of {what}"))?;
        self.text(length, what)
    }

    /// The next `length` bytes as UTF-8.
    pub(crate) fn text(&mut self, length: u64, what: Arguments<'_>) -> Result<&'a str, GgufError> {
        if length > self.rest().len() as u64 {
            return Err(self.end(format_args!("{what} has a string length of {length} bytes")));
        }
        let bytes = self.take(length, 1, what)?;
        self.book(length, 1, what)?;
        std::str::from_utf8(bytes).map_err(|error| GgufError::NotUtf8 {
            file: self.file.to_owned(),
            what: what.to_string(),
            at: error.valid_up_to(),
        })
    }
}
