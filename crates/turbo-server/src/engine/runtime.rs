//! The engine of this project.

use turbo_runtime::{EventSink, GenerateRequest, RequestId, Runtime, RuntimeError};
use turbo_text::{ChatError, RenderInput};

use super::Engine;

impl Engine for Runtime {
    fn model_name(&self) -> &str {
        self.model_name()
    }

    fn context_tokens(&self) -> usize {
        self.context_tokens()
    }

    fn render(&self, input: RenderInput) -> Result<String, ChatError> {
        self.model().render(input)
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, RuntimeError> {
        Ok(self.model().prompt_tokens(text))
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

    fn stopped(&self) -> Option<String> {
        self.stopped()
    }
}
