//! What the server needs from an engine.

mod runtime;

use turbo_runtime::{EventSink, GenerateRequest, RequestId, RuntimeError};
use turbo_text::{ChatError, RenderInput};

/// One loaded model that generates text. [`turbo_runtime::Runtime`] is one; tests bring their own.
///
/// All calls return at once, except that `render` and `encode` take time in proportion to their input.
pub trait Engine: Send + Sync {
    /// The name clients ask for the model by.
    fn model_name(&self) -> &str;

    /// Most tokens of one generation, prompt and answer together.
    fn context_tokens(&self) -> usize;

    /// Renders a conversation with the model's chat template; the engine fills in `bos_token` and `eos_token`.
    ///
    /// # Errors
    /// The template refuses the conversation or fails.
    fn render(&self, input: RenderInput) -> Result<String, ChatError>;

    /// Tokens of a prompt: special tokens written out in the text are recognised, and a BOS token is added where the model
    /// wants one and the text does not start with it.
    ///
    /// # Errors
    /// The text cannot be written in the model's vocabulary.
    fn encode(&self, text: &str) -> Result<Vec<u32>, RuntimeError>;

    /// The bytes a token stands for, which need not be whole characters; empty for an id that is not in the vocabulary.
    fn token_bytes(&self, id: u32) -> Vec<u8>;

    /// Queues a generation; its events go to `sink`, which must not block. `false` from the sink cancels the generation.
    ///
    /// # Errors
    /// What can be said at once: a prompt that is empty or too long, a parameter out of range, an engine that has stopped.
    fn generate(&self, request: GenerateRequest, sink: EventSink) -> Result<RequestId, RuntimeError>;

    /// Ends a generation early. One that has ended is left alone.
    fn cancel(&self, id: RequestId);

    /// Why it has stopped for good, if it has.
    fn stopped(&self) -> Option<String> {
        None
    }
}
