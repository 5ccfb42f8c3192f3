//! The messages of a chat request, made ready for a chat template.

use serde_json::{Map, Value};

use crate::error::ServerError;
use crate::fields::{Fields, wrong};

/// Reads `messages`: roles and contents are checked, content parts become one text, everything else is left for the template.
pub(super) fn read(fields: &Fields<'_>) -> Result<Vec<Value>, ServerError> {
    let expected = "an array of messages";
    let value = fields.required("messages", expected)?;
    let messages = value.as_array().ok_or_else(|| wrong("messages", value, expected))?;
    if messages.is_empty() {
        return Err(wrong("messages", value, "at least one message"));
    }
    messages.iter().enumerate().map(|(index, value)| message(value, &format!("messages[{index}]"))).collect()
}

fn message(value: &Value, path: &str) -> Result<Value, ServerError> {
    let fields = Fields::of_part(value, path.to_owned())?;
    let role = fields.required("role", "the role of the message, as \"user\"")?;
    let role = role.as_str().ok_or_else(|| wrong(&fields.path("role"), role, "a string"))?;
    let mut message: Map<String, Value> = value.as_object().cloned().unwrap_or_default();
    // Newer OpenAI models call it developer; templates know it as system.
    message.insert("role".into(), Value::from(if role == "developer" { "system" } else { role }));
    let content = match fields.get("content") {
        None if fields.get("tool_calls").is_some() => String::new(),
        None => {
            let expected = String::from("the text of the message");
            return Err(ServerError::Missing { field: fields.path("content"), expected });
        }
        Some(content) => text(content, &fields.path("content"))?,
    };
    message.insert("content".into(), content.into());
    if let Some(calls) = message.get_mut("tool_calls").and_then(Value::as_array_mut) {
        calls.iter_mut().for_each(parse_arguments);
    }
    Ok(Value::Object(message))
}

/// A string, or parts of type text, which become lines of one text.
fn text(content: &Value, path: &str) -> Result<String, ServerError> {
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let parts = parts.iter().enumerate().map(|(index, value)| part(value, &format!("{path}[{index}]")));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        other => Err(wrong(path, other, "a string or an array of parts")),
    }
}

fn part<'a>(value: &'a Value, path: &str) -> Result<&'a str, ServerError> {
    let fields = Fields::of_part(value, path.to_owned())?;
    let kind = fields.required("type", "the type of the part, as \"text\"")?;
    let kind = kind.as_str().ok_or_else(|| wrong(&fields.path("type"), kind, "a string"))?;
    if kind != "text" {
        let shown: String = kind.chars().take(40).collect();
        let field = format!("{} {shown:?}", fields.path("type"));
        return Err(ServerError::Unsupported { field, hint: "this server reads parts of type \"text\" only".into() });
    }
    let text = fields.required("text", "the text of the part")?;
    text.as_str().ok_or_else(|| wrong(&fields.path("text"), text, "a string"))
}

/// OpenAI sends the arguments of a call as a string of JSON; templates were written for the object in it.
fn parse_arguments(call: &mut Value) {
    let Some(arguments) = call.pointer_mut("/function/arguments") else { return };
    if let Value::String(text) = arguments
        && let Ok(object @ Value::Object(_)) = serde_json::from_str(text)
    {
        *arguments = object;
    }
}
