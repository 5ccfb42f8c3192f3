//! What a caller asks for and what it is told: requests, sampling parameters, events.

use crate::error::RuntimeError;

/// How the next token is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 always takes the most likely token.
    pub temperature: f32,
    /// Keeps the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the most likely tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Drops tokens less likely than this share of the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of recent tokens; 1 does nothing.
    pub repeat_penalty: f32,
    /// How many recent tokens the penalties look at.
    pub repeat_last_n: usize,
    /// Taken off the logit of every recent token.
    pub presence_penalty: f32,
    /// Taken off per occurrence of a recent token.
    pub frequency_penalty: f32,
    /// Start of the random numbers; drawn from the system if `None`.
    pub seed: Option<u64>,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(u32, f32)>,
}

impl Default for SamplingParams {
    /// llama-server's defaults.
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: None,
            logit_bias: Vec::new(),
        }
    }
}

impl SamplingParams {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks every parameter's range.
    ///
    /// # Errors
    /// The first parameter outside its range, with the range.
    pub fn check(&self) -> Result<(), RuntimeError> {
        let check = |name, value: f32, valid: bool, expected| {
            if valid && value.is_finite() {
                return Ok(());
            }
            Err(RuntimeError::Parameter { name, value: value.to_string(), expected })
        };
        check("temperature", self.temperature, self.temperature >= 0.0, "0 or more")?;
        check("top_p", self.top_p, (0.0..=1.0).contains(&self.top_p), "0 to 1")?;
        check("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "0 to 1")?;
        check("repeat_penalty", self.repeat_penalty, self.repeat_penalty > 0.0, "more than 0")?;
        check("presence_penalty", self.presence_penalty, true, "a finite number")?;
        check("frequency_penalty", self.frequency_penalty, true, "a finite number")
    }
}

/// One generation.
#[derive(Clone, Debug, Default)]
pub struct GenerateRequest {
    /// Token ids of the prompt.
    pub prompt: Vec<u32>,
    /// Most tokens to generate; up to the end of the context if `None`.
    pub max_tokens: Option<usize>,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// Texts that end the generation; they are not part of the output.
    pub stop: Vec<String>,
    /// Report the log-probability of every token and of this many most likely ones.
    pub logprobs: Option<usize>,
    /// Go on after an end-of-generation token.
    pub ignore_eos: bool,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// An end-of-generation token or a stop text.
    Stop,
    /// `max_tokens` or the end of the context.
    Length,
    /// The caller asked for it.
    Cancelled,
}

/// Token counts of one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of them were in the cache already.
    pub cached_tokens: usize,
    /// Tokens generated.
    pub completion_tokens: usize,
}

/// Where the time of one generation went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// From the start of the work on the prompt to the first token.
    pub prompt_ms: f64,
    /// From the first token to the last.
    pub predicted_ms: f64,
}

/// Log-probabilities at one generated token, natural logarithm, before any sampling parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// Of the token itself.
    pub logprob: f32,
    /// The most likely tokens with theirs, most likely first.
    pub top: Vec<(u32, f32)>,
}

/// What happens during a generation, in order: `Started`, `Token`s, then `Finished` or `Failed`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Work on the prompt begins.
    Started {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// How many of them are in the cache already.
        cached_tokens: usize,
    },
    /// A token was generated.
    Token {
        /// Its id.
        id: u32,
        /// The text that is certain now: complete characters, nothing that may still become a stop text.
        text: String,
        /// Its log-probability, if asked for.
        logprobs: Option<TokenLogprobs>,
    },
    /// The end.
    Finished {
        /// Text that was held back and turned out not to be a stop text.
        text: String,
        /// Why.
        reason: FinishReason,
        /// Token counts.
        usage: Usage,
        /// Durations.
        timings: Timings,
    },
    /// The generation could not go on.
    Failed {
        /// The reason, for the user.
        message: String,
    },
}

/// Receives the events of one generation; returning `false` cancels it.
pub type EventSink = Box<dyn FnMut(Event) -> bool + Send>;

/// Identifies a generation for [`crate::Runtime::cancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);
