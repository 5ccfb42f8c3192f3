//! Chat templates: a conversation in, the text of a prompt out.
//!
//! A model file carries its template as Jinja source, written for Hugging Face `transformers`; [`ChatTemplate`] renders it the
//! same way. Text, not tokens, comes out: special tokens stand in it as text, so encode it with special tokens recognised, and
//! without adding a BOS token where the text already starts with one.

mod clock;
mod environment;
mod error;
mod from_gguf;
mod json;
mod python;

use environment::Compiled;
pub use error::ChatError;
use minijinja::Value;

/// The ChatML format (`<|im_start|>role`, newline, text, `<|im_end|>`, newline), used where a file has no template.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] \
     + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// What a template is rendered with.
#[derive(Debug, Clone, Default)]
pub struct RenderInput {
    /// The conversation: objects with at least `role` and `content`, as in the OpenAI API. See [`message`] for plain ones.
    pub messages: Vec<serde_json::Value>,
    /// Tool definitions (`{"type": "function", "function": {...}}`); empty means none, the template then sees `none`.
    pub tools: Vec<serde_json::Value>,
    /// End the prompt with the opening of an assistant message.
    pub add_generation_prompt: bool,
    /// Text of the model's BOS token; empty when it has none.
    pub bos_token: String,
    /// Text of the model's EOS token; empty when it has none.
    pub eos_token: String,
    /// Further variables for the template (`enable_thinking`, `date_string`, ...); they win over the ones above.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// A plain message of a conversation.
pub fn message(role: &str, content: &str) -> serde_json::Value {
    serde_json::json!({ "role": role, "content": content })
}

/// A parsed chat template, shareable between threads.
#[derive(Debug)]
pub struct ChatTemplate {
    source: String,
    is_default: bool,
    template: Compiled,
    with_tools: Option<Compiled>,
}

impl ChatTemplate {
    /// A template from its Jinja source.
    ///
    /// # Errors
    /// [`ChatError::Syntax`] when it does not parse.
    pub fn from_source(source: &str) -> Result<Self, ChatError> {
        Self::from_sources(source, None)
    }

    fn from_sources(source: &str, with_tools: Option<&str>) -> Result<Self, ChatError> {
        Ok(Self {
            source: source.to_owned(),
            is_default: false,
            template: Compiled::new(source)?,
            with_tools: with_tools.map(Compiled::new).transpose()?,
        })
    }

    /// The ChatML template.
    ///
    /// # Panics
    /// Never: the source is a constant, and a test parses it.
    pub fn chatml() -> Self {
        let template = Self::from_source(CHATML).expect("the built-in ChatML template parses");
        Self { is_default: true, ..template }
    }

    /// The Jinja source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether this is ChatML standing in for a template that the file does not have.
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// The prompt for a conversation.
    ///
    /// # Errors
    /// [`ChatError::Raised`] when the template refuses the conversation in its own words, [`ChatError::Render`] when it fails.
    pub fn render(&self, input: &RenderInput) -> Result<String, ChatError> {
        let template = match &self.with_tools {
            Some(with_tools) if !input.tools.is_empty() => with_tools,
            _ => &self.template,
        };
        template.render(variables(input))
    }
}

fn variables(input: &RenderInput) -> Value {
    let list = |items: &[serde_json::Value]| items.iter().map(json::to_template).collect::<Value>();
    let tools = if input.tools.is_empty() { Value::from(()) } else { list(&input.tools) };
    let own = [
        ("messages", list(&input.messages)),
        ("tools", tools),
        ("documents", Value::from(())),
        ("add_generation_prompt", Value::from(input.add_generation_prompt)),
        ("bos_token", Value::from(input.bos_token.as_str())),
        ("eos_token", Value::from(input.eos_token.as_str())),
    ];
    let extra = input.extra.iter().map(|(key, value)| (key.as_str(), json::to_template(value)));
    Value::from_pairs(own.into_iter().chain(extra))
}
