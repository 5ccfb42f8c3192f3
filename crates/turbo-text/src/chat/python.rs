//! Where templates lean on Python: printing of values, and string methods that minijinja-contrib's `pycompat` lacks.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// Containers nested deeper than this print as `...`.
const MAX_DEPTH: usize = 128;

/// `str(value)` of Python: what `{{ value }}` prints under Jinja2.
pub(super) fn to_text(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        _ => {
            let mut out = String::new();
            write_repr(&mut out, value, 0);
            out
        }
    }
}

/// `repr(value)` of Python.
fn write_repr(out: &mut String, value: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        out.push_str("...");
        return;
    }
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => out.push_str(&float_repr(number)),
            Err(_) => out.push_str(&value.to_string()),
        },
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let tuple = value.is_tuple();
            out.push(if tuple { '(' } else { '[' });
            let mut count = 0;
            for item in value.try_iter().into_iter().flatten() {
                if count > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &item, depth + 1);
                count += 1;
            }
            if tuple && count == 1 {
                out.push(',');
            }
            out.push(if tuple { ')' } else { ']' });
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &key, depth + 1);
                out.push_str(": ");
                write_repr(out, &value.get_item(&key).unwrap_or_default(), depth + 1);
            }
            out.push('}');
        }
        // Macros and other objects print themselves.
        _ => out.push_str(&value.to_string()),
    }
}

/// Python prefers single quotes, and takes double quotes where that saves an escape.
fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() && u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// `repr(float)` of Python: shortest digits that read back, exponent form below 1e-4 and from 1e16 on.
pub(super) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return String::from("nan");
    }
    if value.is_infinite() {
        return String::from(if value > 0.0 { "inf" } else { "-inf" });
    }
    let magnitude = value.abs();
    if value != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = format!("{value}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// Python methods that `pycompat` does not know, then `pycompat` itself.
pub(super) fn unknown_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str()
        && let Some(found) = string_method(text, method, args)
    {
        return found;
    }
    if value.kind() == ValueKind::Map && method == "copy" {
        let () = from_args(args)?;
        return Ok(value.clone());
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    Some(match method {
        "removeprefix" => one(args).map(|prefix| Value::from(text.strip_prefix(prefix).unwrap_or(text))),
        "removesuffix" => one(args).map(|suffix| Value::from(text.strip_suffix(suffix).unwrap_or(text))),
        "partition" => separator(args).map(|at| match text.split_once(at) {
            Some((head, tail)) => triple([head, at, tail]),
            None => triple([text, "", ""]),
        }),
        "rpartition" => separator(args).map(|at| match text.rsplit_once(at) {
            Some((head, tail)) => triple([head, at, tail]),
            None => triple(["", "", text]),
        }),
        "rsplit" => rsplit(text, args),
        "swapcase" => from_args::<()>(args).map(|()| Value::from(text.chars().map(swap_case).collect::<String>())),
        "zfill" => from_args::<(usize,)>(args).map(|(width,)| {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            let missing = width.min(1 << 16).saturating_sub(text.chars().count());
            Value::from(format!("{sign}{}{digits}", "0".repeat(missing)))
        }),
        _ => return None,
    })
}

fn one(args: &[Value]) -> Result<&str, Error> {
    from_args::<(&str,)>(args).map(|(argument,)| argument)
}

fn separator(args: &[Value]) -> Result<&str, Error> {
    let at = one(args)?;
    if at.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    Ok(at)
}

fn triple(parts: [&str; 3]) -> Value {
    Value::from(minijinja::value::Tuple::from(parts.map(Value::from)))
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (at, limit): (Option<&str>, Option<i64>) = from_args(args)?;
    let pieces = usize::try_from(limit.unwrap_or(-1)).map_or(usize::MAX, |limit| limit.saturating_add(1));
    let mut parts: Vec<&str> = match at {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(at) => text.rsplitn(pieces, at).collect(),
        None => rsplit_whitespace(text, pieces),
    };
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect())
}

fn rsplit_whitespace(text: &str, pieces: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        if parts.len() + 1 == pieces {
            parts.push(rest.trim_end());
            break;
        }
        let start =
            rest.rfind(char::is_whitespace).map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        parts.push(&rest[start..]);
        rest = rest[..start].trim_end();
    }
    parts
}

fn swap_case(c: char) -> String {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        let cases = [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (1e100, "1e+100"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, want) in cases {
            assert_eq!(float_repr(value), want);
        }
    }

    #[test]
    fn rsplit_without_a_separator_splits_at_runs_of_white_space() {
        assert_eq!(rsplit_whitespace("  a  b c ", usize::MAX), ["c", "b", "a"]);
        assert_eq!(rsplit_whitespace("a b  c", 2), ["c", "a b"]);
        assert_eq!(rsplit_whitespace("   ", 3), Vec::<&str>::new());
    }
}
