//! The engine of this project.

use turbo_runtime::{EventSink, GenerateRequest, RequestId, Runtime, RuntimeError};
use turbo_text::{ChatError, EncodeOptions, RenderInput, Tokenizer};

use super::Engine;

impl Engine for Runtime {
    fn model_name(&self) -> &str {
        self.model_name()
    }

    fn context_tokens(&self) -> usize {
        self.context_tokens()
    }

    fn render(&self, input: RenderInput) -> Result<String, ChatError> {
        let tokenizer = self.tokenizer();
        let spelling = |id: Option<u32>| id.map_or_else(String::new, |id| tokenizer.token_text(id).to_owned());
        let (bos_token, eos_token) = (spelling(tokenizer.bos()), spelling(tokenizer.eos()));
        self.chat_template().render(&RenderInput { bos_token, eos_token, ..input })
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, RuntimeError> {
        Ok(encode_prompt(self.tokenizer(), text))
    }

    fn token_bytes(&self, id: u32) -> Vec<u8> {
        self.tokenizer().token_bytes(id).unwrap_or_default().to_vec()
    }

    fn generate(&self, request: GenerateRequest, sink: EventSink) -> Result<RequestId, RuntimeError> {
        self.generate(request, sink)
    }

    fn cancel(&self, id: RequestId) {
        self.cancel(id);
    }
}

/// Tokens of a text that the model is to continue: one BOS at most, whether the text brings it or not, and never an EOS.
fn encode_prompt(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let mut ids = tokenizer.encode(text, EncodeOptions { add_special: false, parse_special: true });
    if let Some(bos) = tokenizer.bos()
        && tokenizer.add_bos()
        && ids.first() != Some(&bos)
    {
        ids.insert(0, bos);
    }
    ids
}
