//! The parameters that the chat and the completions route share.

use serde_json::Value;
use turbo_runtime::{GenerateRequest, SamplingParams};

use crate::error::ServerError;
use crate::fields::{Fields, finite_f32, wrong};

/// Choices that one request may ask for, over all its prompts.
pub(super) const MAX_CHOICES: usize = 128;

/// Stop texts that one request may give.
const MAX_STOPS: usize = 64;

/// How a request wants its answer.
pub(super) struct Params {
    /// Choices per prompt.
    pub(super) n: usize,
    /// Send the answer piece by piece.
    pub(super) stream: bool,
    /// End the stream with a chunk of token counts.
    pub(super) include_usage: bool,
    /// The generation, without a prompt and without log-probabilities.
    pub(super) request: GenerateRequest,
}

impl Params {
    /// Reads them; `context_tokens` stands for a `repeat_last_n` of -1.
    pub(super) fn read(fields: &Fields<'_>, context_tokens: usize) -> Result<Self, ServerError> {
        refuse_constraints(fields)?;
        let include_usage = match fields.get("stream_options") {
            Some(options) => Fields::of_part(options, fields.path("stream_options"))?.flag("include_usage")?,
            None => false,
        };
        let request = GenerateRequest {
            prompt: Vec::new(),
            max_tokens: max_tokens(fields)?,
            sampling: sampling(fields, context_tokens)?,
            stop: stop(fields)?,
            logprobs: None,
            ignore_eos: fields.flag("ignore_eos")?,
        };
        Ok(Self {
            n: fields.integer("n", 1..=MAX_CHOICES as i64)?.map_or(1, |n| n as usize),
            stream: fields.flag("stream")?,
            include_usage,
            request,
        })
    }
}

/// Refuses what would silently give an answer of another form than asked for.
fn refuse_constraints(fields: &Fields<'_>) -> Result<(), ServerError> {
    for name in ["grammar", "json_schema"] {
        if fields.get(name).is_some_and(|value| value.as_str() != Some("")) {
            let hint = "leave it out and check the answer yourself; answers cannot be constrained to a grammar";
            return Err(ServerError::Unsupported { field: fields.path(name), hint: hint.into() });
        }
    }
    let Some(format) = fields.get("response_format") else { return Ok(()) };
    let format = Fields::of_part(format, fields.path("response_format"))?;
    match format.text("type")? {
        None | Some("text") => Ok(()),
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            let field = format!("{} {shown:?}", format.path("type"));
            Err(ServerError::Unsupported { field, hint: "answers are free text, of type \"text\"".into() })
        }
    }
}

/// `max_completion_tokens`, or its older name `max_tokens`; -1 means no limit, as in llama-server.
fn max_tokens(fields: &Fields<'_>) -> Result<Option<usize>, ServerError> {
    let mut limit = None;
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(value) = fields.get(name) else { continue };
        limit = match fields.integer(name, i64::MIN..=i64::MAX)? {
            Some(-1) => None,
            Some(tokens) if tokens >= 0 => Some(usize::try_from(tokens).unwrap_or(usize::MAX)),
            _ => return Err(wrong(&fields.path(name), value, "a whole number of at least 0 (or -1 for no limit)")),
        };
    }
    Ok(limit)
}

fn sampling(fields: &Fields<'_>, context_tokens: usize) -> Result<SamplingParams, ServerError> {
    let default = SamplingParams::default();
    let number = |name, default| fields.number(name).map(|value| value.unwrap_or(default));
    let repetition = number("repetition_penalty", default.repeat_penalty)?;
    let repeat_last_n = match fields.integer("repeat_last_n", -1..=i64::MAX)? {
        Some(-1) => context_tokens,
        Some(tokens) => usize::try_from(tokens).unwrap_or(context_tokens).min(context_tokens),
        None => default.repeat_last_n,
    };
    // llama-server and vLLM write "off" as 0 and as -1.
    let top_k = fields.integer("top_k", -1..=i64::from(u32::MAX))?.map_or(default.top_k, |k| k.max(0) as usize);
    Ok(SamplingParams {
        temperature: number("temperature", default.temperature)?,
        top_k,
        top_p: number("top_p", default.top_p)?,
        min_p: number("min_p", default.min_p)?,
        repeat_penalty: number("repeat_penalty", repetition)?,
        repeat_last_n,
        presence_penalty: number("presence_penalty", default.presence_penalty)?,
        frequency_penalty: number("frequency_penalty", default.frequency_penalty)?,
        seed: seed(fields)?,
        logit_bias: logit_bias(fields)?,
    })
}

/// Any whole number; -1 asks for a random one, as in llama-server.
fn seed(fields: &Fields<'_>) -> Result<Option<u64>, ServerError> {
    if let Some(seed) = fields.get("seed").and_then(Value::as_u64) {
        return Ok(Some(seed));
    }
    let seed = fields.integer("seed", i64::MIN..=i64::MAX)?;
    Ok(seed.filter(|&seed| seed != -1).map(|seed| seed as u64))
}

/// A string or an array of strings. Empty ones, which would stop anything, are dropped.
fn stop(fields: &Fields<'_>) -> Result<Vec<String>, ServerError> {
    let Some(value) = fields.get("stop") else { return Ok(Vec::new()) };
    let expected = "a string or an array of strings";
    let texts: Vec<String> = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) if items.len() > MAX_STOPS => {
            return Err(wrong(&fields.path("stop"), value, format!("at most {MAX_STOPS} strings")));
        }
        Value::Array(items) => {
            let text = |(index, item): (usize, &Value)| match item {
                Value::String(text) => Ok(text.clone()),
                other => Err(wrong(&fields.path(&format!("stop[{index}]")), other, "a string")),
            };
            items.iter().enumerate().map(text).collect::<Result<_, _>>()?
        }
        other => return Err(wrong(&fields.path("stop"), other, expected)),
    };
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}

/// OpenAI's object of token id to bias, or llama-server's array of pairs; `false` as a bias forbids the token.
fn logit_bias(fields: &Fields<'_>) -> Result<Vec<(u32, f32)>, ServerError> {
    let Some(value) = fields.get("logit_bias") else { return Ok(Vec::new()) };
    let at = |place: &str| fields.path(&format!("logit_bias{place}"));
    let bias = |place: &str, value: &Value| match value {
        Value::Bool(false) => Ok(f32::NEG_INFINITY),
        other => finite_f32(other).ok_or_else(|| wrong(&at(place), other, "a number (or false to forbid the token)")),
    };
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let shown: String = key.chars().take(40).collect();
                let id = key.parse().map_err(|_| ServerError::Field {
                    field: at(""),
                    found: format!("an object with the key {shown:?}"),
                    expected: String::from("token ids as keys"),
                })?;
                Ok((id, bias(&format!(".{id}"), value)?))
            })
            .collect(),
        Value::Array(pairs) => pairs
            .iter()
            .enumerate()
            .map(|(index, pair)| {
                let place = format!("[{index}]");
                let parts = pair.as_array().filter(|parts| parts.len() == 2);
                let id = parts.and_then(|parts| u32::try_from(parts[0].as_u64()?).ok());
                match (parts, id) {
                    (Some(parts), Some(id)) => Ok((id, bias(&place, &parts[1])?)),
                    _ => Err(wrong(&at(&place), pair, "a pair of a token id and a bias")),
                }
            })
            .collect(),
        other => Err(wrong(&at(""), other, "an object of token ids and biases")),
    }
}
