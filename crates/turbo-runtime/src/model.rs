//! An opened model: file, plan, tokenizer and chat template.

use std::path::Path;
use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_gguf::GgufFile;
use turbo_text::{ChatTemplate, EncodeOptions, RenderInput, Tokenizer};

use crate::error::RuntimeError;

/// A model file that was read and understood, not yet loaded on a device.
pub struct Model {
    /// Name users see: the file's stem.
    pub name: String,
    /// The mapped file.
    pub file: Arc<GgufFile>,
    /// What to compute.
    pub plan: Arc<Plan>,
    /// Text to token ids and back.
    pub tokenizer: Arc<Tokenizer>,
    /// Messages to a prompt.
    pub template: Arc<ChatTemplate>,
}

impl Model {
    /// Opens the model in a GGUF file, or in all parts of a split one.
    ///
    /// # Errors
    /// Whatever makes the file unusable, naming file and key or tensor.
    pub fn open(path: &Path) -> Result<Self, RuntimeError> {
        let name = path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
        Self::from_file(GgufFile::open(path)?, name)
    }

    /// The model in bytes that live as long as the program.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, RuntimeError> {
        Self::from_file(GgufFile::from_static(name, bytes)?, name.to_owned())
    }

    fn from_file(file: GgufFile, name: String) -> Result<Self, RuntimeError> {
        let plan = turbo_model::build_plan(&file)?;
        let tokenizer = Tokenizer::from_gguf(&file)?;
        let template = ChatTemplate::from_gguf(&file)?;
        Ok(Self {
            name,
            file: Arc::new(file),
            plan: Arc::new(plan),
            tokenizer: Arc::new(tokenizer),
            template: Arc::new(template),
        })
    }

    /// Checks that every id is in the vocabulary.
    ///
    /// # Errors
    /// The first id that is not.
    pub fn check_tokens(&self, ids: &[u32]) -> Result<(), RuntimeError> {
        let n_vocab = self.plan.n_vocab;
        match ids.iter().find(|&&id| id as usize >= n_vocab) {
            Some(&id) => Err(RuntimeError::UnknownToken { id, n_vocab }),
            None => Ok(()),
        }
    }
}

/// A conversation to make a prompt of.
#[derive(Clone, Debug, Default)]
pub struct ChatInput {
    /// Objects with at least `role` and `content`, as in the OpenAI API.
    pub messages: Vec<serde_json::Value>,
    /// Tool definitions, as in the OpenAI API.
    pub tools: Vec<serde_json::Value>,
    /// Further variables for the template.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Model {
    /// The prompt for a conversation whose next message is the assistant's, by the model's chat template.
    ///
    /// # Errors
    /// What the template refuses or fails at.
    pub fn chat_prompt(&self, input: ChatInput) -> Result<Vec<u32>, RuntimeError> {
        let text_of = |id: Option<u32>| id.map(|id| self.tokenizer.token_text(id).to_owned()).unwrap_or_default();
        let bos_token = text_of(self.tokenizer.bos());
        let input = RenderInput {
            messages: input.messages,
            tools: input.tools,
            add_generation_prompt: true,
            bos_token: bos_token.clone(),
            eos_token: text_of(self.tokenizer.eos()),
            extra: input.extra,
        };
        let text = self.template.render(&input)?;
        // Many templates write the beginning token themselves: it must not come twice.
        let add_special = bos_token.is_empty() || !text.starts_with(&bos_token);
        Ok(self.tokenizer.encode(&text, EncodeOptions { add_special, parse_special: true }))
    }
}
