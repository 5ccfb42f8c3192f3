//! Reading a vocabulary out of a model file.

use super::spec::{ROLES, SpecialIds, VocabSpec};
use super::{TextError, Tokenizer};
use turbo_gguf::{GgufError, GgufFile, Metadata};

impl Tokenizer {
    /// Builds the tokenizer of a model file from its `tokenizer.ggml.*` metadata.
    ///
    /// # Errors
    /// A key that is missing or has the wrong type, arrays of different lengths, an unsupported
    /// kind of vocabulary, an unknown pre-tokenizer, and everything that [`Tokenizer::from_parts`]
    /// refuses.
    pub fn from_gguf(file: &GgufFile) -> Result<Self, TextError> {
        Self::from_parts(VocabSpec::from_metadata(file.metadata())?)
    }
}

impl VocabSpec {
    /// Reads the vocabulary's metadata without checking it against itself.
    ///
    /// # Errors
    /// [`TextError::MissingKey`] and [`TextError::Metadata`].
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, TextError> {
        let text = |key| read(key, metadata.get_str(key)).map(|found| found.map(str::to_owned));
        let flag = |key| read(key, metadata.get_bool(key));
        let texts = |key| {
            let found = read(key, metadata.get_str_array(key))?;
            Ok::<_, TextError>(found.map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<_>>()))
        };
        Ok(Self {
            model: require("tokenizer.ggml.model", text("tokenizer.ggml.model")?)?,
            pre: text("tokenizer.ggml.pre")?,
            tokens: require("tokenizer.ggml.tokens", texts("tokenizer.ggml.tokens")?)?,
            scores: read("tokenizer.ggml.scores", metadata.get_f32_array("tokenizer.ggml.scores"))?,
            token_types: read("tokenizer.ggml.token_type", metadata.get_i32_array("tokenizer.ggml.token_type"))?,
            merges: texts("tokenizer.ggml.merges")?,
            special: special(metadata)?,
            add_bos: flag("tokenizer.ggml.add_bos_token")?,
            add_eos: flag("tokenizer.ggml.add_eos_token")?,
            add_space_prefix: flag("tokenizer.ggml.add_space_prefix")?,
            model_name: text("general.name")?,
            architecture: text("general.architecture")?,
        })
    }
}

fn read<T>(key: &'static str, value: Result<T, GgufError>) -> Result<T, TextError> {
    value.map_err(|error| TextError::Metadata { key, source: Box::new(error) })
}

fn require<T>(key: &'static str, value: Option<T>) -> Result<T, TextError> {
    value.ok_or(TextError::MissingKey { key })
}

fn special(metadata: &Metadata) -> Result<SpecialIds, TextError> {
    let mut ids = SpecialIds::default();
    for &(key, role) in ROLES {
        if let Some(id) = read(key, metadata.get_u64(key))? {
            // An id beyond 32 bits is out of range of every vocabulary; the check against its size
            // reports it.
            *role(&mut ids) = Some(u32::try_from(id).unwrap_or(u32::MAX));
        }
    }
    Ok(ids)
}
