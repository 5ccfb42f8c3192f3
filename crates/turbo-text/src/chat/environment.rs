//! The Jinja environment that Hugging Face gives to chat templates (transformers, `utils/chat_template_utils.py`), on minijinja.
//!
//! Same as there: `trim_blocks` and `lstrip_blocks`, loop controls, no auto-escaping, the default undefined (prints nothing,
//! iterates as empty, fails on attribute access), `tojson`, `raise_exception`, `strftime_now`, Python's printing of values.
//! Beyond it: a limit on the work of one rendering, because a template is a program out of a downloaded file.

use std::panic::AssertUnwindSafe;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter};

use super::error::{ChatError, RaisedByTemplate};
use super::{clock, json, python};

/// Template instructions one rendering may execute. A long real conversation takes under a million; this many take seconds.
const FUEL: u64 = 50_000_000;

/// The name of the only template of an environment.
const NAME: &str = "chat_template";

/// A parsed template with everything it may call.
#[derive(Debug)]
pub(super) struct Compiled {
    environment: Environment<'static>,
}

impl Compiled {
    /// Parses `source`.
    pub(super) fn new(source: &str) -> Result<Self, ChatError> {
        let mut environment = environment().map_err(|error| ChatError::from_load(&error))?;
        let source = without_generation_tags(source);
        guarded(|| environment.add_template_owned(NAME, source))?.map_err(|error| ChatError::from_load(&error))?;
        Ok(Self { environment })
    }

    /// Renders with the given variables.
    pub(super) fn render(&self, variables: Value) -> Result<String, ChatError> {
        let render = || self.environment.get_template(NAME).and_then(|template| template.render(variables));
        guarded(render)?.map_err(|error| ChatError::from_render(&error))
    }
}

/// Turns a panic inside the template engine into an error: one malformed template must not end a server. (Known in minijinja
/// 3.0.5: `x[1:5:-1]` subtracts past zero, which panics where overflow is checked.)
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, ChatError> {
    // The environment is either dropped (loading) or not written to (rendering), so no half-done state is seen afterwards.
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        ChatError::Broken { detail: text.unwrap_or_else(|| String::from("no reason given")) }
    })
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(print_like_python);
    environment.set_unknown_method_callback(python::unknown_method);
    environment.set_debug(true); // keeps the source with an error, to show the failing piece
    environment.set_fuel(Some(FUEL));
    environment.add_filter("tojson", json::tojson);
    environment.add_filter("string", |value: &Value| Value::from(python::to_text(value)));
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", |format: &str| clock::strftime(format, clock::now()));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_function("cycler", minijinja_contrib::globals::cycler);
    Ok(environment)
}

fn print_like_python(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let failed = |_| Error::from(ErrorKind::WriteFailure);
    match value.kind() {
        ValueKind::Undefined => Ok(()),
        ValueKind::Invalid => escape_formatter(out, state, value),
        ValueKind::String => out.write_str(value.as_str().unwrap_or_default()).map_err(failed),
        _ => out.write_str(&python::to_text(value)).map_err(failed),
    }
}

fn raise_exception(message: &Value, _: Kwargs) -> Result<Value, Error> {
    let message = python::to_text(message);
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(RaisedByTemplate(message)))
}

/// Replaces `{% generation %}` and `{% endgeneration %}` (marks for training, no output of their own) by a block that is
/// always rendered. Lines and white-space control stay as they were.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        rest = tag;
        let inner = tag.trim_start_matches(['-', '+']).trim_start();
        let Some((word, block)) = [("generation", "if true"), ("endgeneration", "endif")]
            .into_iter()
            .find(|(word, _)| inner.starts_with(word))
        else {
            continue;
        };
        let after = &inner[word.len()..];
        if after.trim_start().trim_start_matches(['-', '+']).starts_with("%}") {
            out.push_str(&tag[..tag.len() - inner.len()]);
            out.push_str(block);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_tags_become_plain_blocks() {
        let source = "a{%- generation -%}\n x {% endgeneration %}{% generational %}{%";
        assert_eq!(without_generation_tags(source), "a{%- if true -%}\n x {% endif %}{% generational %}{%");
    }
}
