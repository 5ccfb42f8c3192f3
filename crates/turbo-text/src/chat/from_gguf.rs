//! Templates out of model files.

use turbo_gguf::GgufFile;

use super::{ChatError, ChatTemplate};

/// Key of the template.
const KEY: &str = "tokenizer.chat_template";
/// Key of a second template that some files carry for conversations with tools.
const TOOL_KEY: &str = "tokenizer.chat_template.tool_use";

impl ChatTemplate {
    /// The template of a model file; ChatML when the file has none (see [`ChatTemplate::is_default`]).
    ///
    /// # Errors
    /// [`ChatError::Metadata`] when the key does not hold text, [`ChatError::InFile`] when the template does not parse.
    pub fn from_gguf(file: &GgufFile) -> Result<Self, ChatError> {
        let read = |key: &'static str| {
            file.metadata().get_str(key).map_err(|error| ChatError::Metadata { key, source: Box::new(error) })
        };
        let Some(source) = read(KEY)? else { return Ok(Self::chatml()) };
        Self::from_sources(source, read(TOOL_KEY)?)
            .map_err(|source| ChatError::InFile { file: file.path().to_owned(), source: Box::new(source) })
    }
}
