//! JSON in and out of templates: request values to template values, and the `tojson` filter as Hugging Face defines it.
//!
//! Hugging Face replaces Jinja's own filter by `json.dumps(x, ensure_ascii=False, indent=..., separators=..., sort_keys=...)`
//! (transformers, `utils/chat_template_utils.py`): key order kept, `", "` and `": "`, nothing HTML-escaped. Models were trained on that.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use super::python::float_repr;

/// Nesting beyond this is refused: nobody means it, and writing it recurses.
const MAX_DEPTH: usize = 128;

/// A JSON value as a template value; objects keep the order of their keys.
pub(super) fn to_template(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Value::from(signed),
            (None, Some(unsigned)) => Value::from(unsigned),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(to_template).collect(),
        serde_json::Value::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), to_template(value))))
        }
    }
}

/// The filter `tojson(indent=none, separators=none, sort_keys=false, ensure_ascii=false)`.
pub(super) fn tojson(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<Value>>("indent")?,
    };
    let indent = match indent {
        Some(value) if !value.is_none() && !value.is_undefined() => Some(usize::try_from(value)?),
        _ => None,
    };
    let separators = match options.get::<Option<Value>>("separators")? {
        Some(pair) if !pair.is_none() => {
            let part = |index| pair.get_item_by_index(index).map(|part| part.to_string());
            (part(0)?, part(1)?)
        }
        _ => (String::from(if indent.is_some() { "," } else { ", " }), String::from(": ")),
    };
    let writer_options = Options {
        indent,
        separators,
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let mut out = String::new();
    write_value(&mut out, value, &writer_options, 0)?;
    Ok(Value::from(out))
}

struct Options {
    indent: Option<usize>,
    separators: (String, String),
    sort_keys: bool,
    ascii: bool,
}

fn write_value(out: &mut String, value: &Value, options: &Options, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("tojson: value is nested deeper than {MAX_DEPTH} levels"),
        ));
    }
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => match value.is_integer() {
            true => _ = write!(out, "{value}"),
            false => out.push_str(&json_float(f64::try_from(value.clone())?)),
        },
        ValueKind::String => write_string(out, value.as_str().unwrap_or_default(), options.ascii),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            write_items(out, ('[', ']'), items.len(), options, depth, |out, index| {
                write_value(out, &items[index], options, depth + 1)
            })?;
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if options.sort_keys {
                keys.sort();
            }
            write_items(out, ('{', '}'), keys.len(), options, depth, |out, index| {
                write_string(out, &keys[index].to_string(), options.ascii);
                out.push_str(&options.separators.1);
                write_value(out, &value.get_item(&keys[index])?, options, depth + 1)
            })?;
        }
        kind => {
            let message = format!("tojson: {kind} is not JSON serialisable");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    }
    Ok(())
}

/// Brackets, separators and line breaks around `count` items.
fn write_items(
    out: &mut String,
    (open, close): (char, char),
    count: usize,
    options: &Options,
    depth: usize,
    mut item: impl FnMut(&mut String, usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |out: &mut String, depth: usize| {
        if let Some(width) = options.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', width.min(64) * depth));
        }
    };
    out.push(open);
    for index in 0..count {
        if index > 0 {
            out.push_str(&options.separators.0);
        }
        line(out, depth + 1);
        item(out, index)?;
    }
    if count > 0 {
        line(out, depth);
    }
    out.push(close);
    Ok(())
}

/// Python's `json` writes non-finite numbers by these names.
fn json_float(value: f64) -> String {
    match value {
        value if value.is_nan() => String::from("NaN"),
        f64::INFINITY => String::from("Infinity"),
        f64::NEG_INFINITY => String::from("-Infinity"),
        value => float_repr(value),
    }
}

fn write_string(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ascii && !c.is_ascii()) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
