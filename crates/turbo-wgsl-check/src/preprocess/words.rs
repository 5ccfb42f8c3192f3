//! Whole words of a line.

use std::collections::{BTreeMap, BTreeSet};

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether `text` is one identifier.
pub(super) fn is_name(text: &str) -> bool {
    text.chars().all(is_word) && text.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

/// Replaces every whole word that `defines` knows; notes it in `used`.
///
/// A number with its suffix (`16u`) is one word and never replaced.
pub(super) fn replace(line: &str, defines: &BTreeMap<String, String>, used: &mut BTreeSet<String>) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        match defines.get(word) {
            Some(value) => {
                used.insert(word.to_owned());
                out.push_str(value);
            }
            None => out.push_str(word),
        }
        let end = after.find(is_word).unwrap_or(after.len());
        out.push_str(&after[..end]);
        rest = &after[end..];
    }
    out
}

/// Value of `A OP B OP ..` with numbers and `+ - * /`, from left to right; `None` for anything else.
pub(super) fn evaluate(text: &str) -> Option<usize> {
    let mut parts = text.split_whitespace();
    let mut value: usize = parts.next()?.parse().ok()?;
    while let Some(operator) = parts.next() {
        let right: usize = parts.next()?.parse().ok()?;
        value = match operator {
            "+" => value.checked_add(right)?,
            "-" => value.checked_sub(right)?,
            "*" => value.checked_mul(right)?,
            "/" => value.checked_div(right)?,
            _ => return None,
        };
    }
    Some(value)
}
