//! Checked access to the metadata of one architecture.

use std::ops::RangeInclusive;

use turbo_gguf::{GgufFile, PerLayer};

use crate::ModelError;

/// Largest width of an activation; real models stay below 2^18.
pub(crate) const MAX_WIDTH: u64 = 1 << 24;
/// Most heads of a layer.
pub(crate) const MAX_HEADS: u64 = 1 << 16;
/// Largest head.
pub(crate) const MAX_HEAD_DIM: u64 = 1 << 16;

/// The metadata of a file, read by the part of a key that follows the architecture.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    /// The file.
    pub(crate) file: &'a GgufFile,
    /// Value of `general.architecture`.
    pub(crate) architecture: &'a str,
}

impl<'a> Keys<'a> {
    /// The keys of a file's own architecture.
    pub(crate) fn new(file: &'a GgufFile) -> Result<Self, ModelError> {
        Ok(Self { file, architecture: file.metadata().require_str("general.architecture")? })
    }

    /// The file as named in messages.
    pub(crate) fn file_name(&self) -> String {
        self.file.metadata().file().to_owned()
    }

    /// The whole key: `block_count` is `llama.block_count`.
    pub(crate) fn key(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.architecture)
    }

    /// The error that a key has this value but should have another.
    pub(crate) fn invalid(&self, suffix: &str, found: impl ToString, expected: impl Into<String>) -> ModelError {
        ModelError::InvalidKey {
            file: self.file_name(),
            key: self.key(suffix),
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    /// A size within limits, if the key is there.
    pub(crate) fn size(&self, suffix: &str, limits: RangeInclusive<u64>) -> Result<Option<usize>, ModelError> {
        let found = self.file.metadata().get_u64(&self.key(suffix))?;
        found.map(|value| self.check_size(suffix, value, &limits)).transpose()
    }

    /// A size within limits; the key must be there.
    pub(crate) fn require_size(&self, suffix: &str, limits: RangeInclusive<u64>) -> Result<usize, ModelError> {
        let found = self.file.metadata().require_u64(&self.key(suffix))?;
        self.check_size(suffix, found, &limits)
    }

    /// A size for every layer, given once or as an array; `default` where the key is absent.
    pub(crate) fn sizes(
        &self,
        suffix: &str,
        n_layers: usize,
        limits: RangeInclusive<u64>,
        default: Option<&[usize]>,
    ) -> Result<Vec<usize>, ModelError> {
        let key = self.key(suffix);
        let metadata = self.file.metadata();
        let found = match (metadata.get_u64_or_array(&key)?, default) {
            (Some(found), _) => found,
            (None, Some(default)) => return Ok(default.to_vec()),
            (None, None) => metadata.require_u64_or_array(&key)?,
        };
        match found {
            PerLayer::One(value) => Ok(vec![self.check_size(suffix, value, &limits)?; n_layers]),
            PerLayer::Each(values) if values.len() != n_layers => Err(self.invalid(
                suffix,
                format!("an array of {}", values.len()),
                format!("one value for each of the {n_layers} layers"),
            )),
            PerLayer::Each(values) => values.iter().map(|&value| self.check_size(suffix, value, &limits)).collect(),
        }
    }

    /// A number that `valid` accepts, `default` where the key is absent.
    pub(crate) fn number(
        &self,
        suffix: &str,
        default: f32,
        valid: impl Fn(f32) -> bool,
        expected: &str,
    ) -> Result<f32, ModelError> {
        let value = self.file.metadata().get_f32(&self.key(suffix))?.unwrap_or(default);
        if value.is_finite() && valid(value) { Ok(value) } else { Err(self.invalid(suffix, value, expected)) }
    }

    fn check_size(&self, suffix: &str, value: u64, limits: &RangeInclusive<u64>) -> Result<usize, ModelError> {
        if limits.contains(&value)
            && let Ok(size) = usize::try_from(value)
        {
            return Ok(size);
        }
        let expected = format!("a whole number from {} to {}", limits.start(), limits.end());
        Err(self.invalid(suffix, value, expected))
    }
}
