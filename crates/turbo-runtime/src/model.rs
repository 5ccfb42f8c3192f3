//! An opened model: file, plan, tokenizer and chat template.

use std::path::Path;
use std::sync::Arc;

use turbo_backend::plan::Plan;
use turbo_gguf::GgufFile;
use turbo_text::{ChatError, ChatTemplate, EncodeOptions, RenderInput, Tokenizer};

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
    pub fn check_tokens<'a>(&self, ids: impl IntoIterator<Item = &'a u32>) -> Result<(), RuntimeError> {
        let n_vocab = self.plan.n_vocab;
        match ids.into_iter().find(|&&id| id as usize >= n_vocab) {
            Some(&id) => Err(RuntimeError::UnknownToken { id, n_vocab }),
            None => Ok(()),
        }
    }
}

impl Model {
    /// The text of the prompt for a conversation, by the model's chat template; `bos_token` and `eos_token` of the
    /// input are filled in.
    ///
    /// # Errors
    /// What the template refuses or fails at.
    pub fn render(&self, input: RenderInput) -> Result<String, ChatError> {
        let spelling = |id: Option<u32>| id.map_or_else(String::new, |id| self.tokenizer.token_text(id).to_owned());
        let (bos_token, eos_token) = (spelling(self.tokenizer.bos()), spelling(self.tokenizer.eos()));
        self.template.render(&RenderInput { bos_token, eos_token, ..input })
    }

    /// Tokens of a text that the model is to continue: one BOS at most, whether the text brings it or not, and never
    /// an EOS.
    pub fn prompt_tokens(&self, text: &str) -> Vec<u32> {
        let mut ids = self.tokenizer.encode(text, EncodeOptions { add_special: false, parse_special: true });
        if let Some(bos) = self.tokenizer.bos()
            && self.tokenizer.add_bos()
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        ids
    }

    /// The prompt for a conversation whose next message is the assistant's.
    ///
    /// # Errors
    /// What the template refuses or fails at.
    pub fn chat_prompt(&self, messages: Vec<serde_json::Value>) -> Result<Vec<u32>, RuntimeError> {
        let input = RenderInput { messages, add_generation_prompt: true, ..RenderInput::default() };
        Ok(self.prompt_tokens(&self.render(input)?))
    }
}
