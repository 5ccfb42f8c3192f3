//! What can go wrong between a file's template and a prompt.

/// Failures of loading or rendering a chat template.
///
/// Line numbers count from 1 within the template. `near` is the piece of the template that failed (at most 80 characters):
/// many files keep their whole template on one line, where a line number alone says nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The template is not valid Jinja.
    #[error("chat template has a syntax error at line {line}: {detail}; fix the template or pass another one")]
    Syntax {
        /// Line of the template.
        line: usize,
        /// What the parser found.
        detail: String,
    },
    /// The template itself refused the conversation, by `raise_exception`; the text is the template's own.
    #[error("the model's chat template refuses this conversation: {message}")]
    Raised {
        /// The argument of `raise_exception`.
        message: String,
    },
    /// The template failed while it was rendered.
    #[error("chat template failed at line {line}, near `{near}`: {detail}")]
    Render {
        /// Line of the template.
        line: usize,
        /// The failing piece of the template.
        near: String,
        /// The cause.
        detail: String,
    },
    /// The template engine itself broke on the template.
    #[error("the template engine cannot process this chat template ({detail}); pass another template")]
    Broken {
        /// What the engine said.
        detail: String,
    },
    /// A template of this file does not work.
    #[error("{file}: {source}")]
    InFile {
        /// The file.
        file: String,
        /// What is wrong with its template.
        #[source]
        source: Box<Self>,
    },
    /// The key that holds the template cannot be read as text.
    #[error("the chat template cannot be read: {source}")]
    Metadata {
        /// The metadata key.
        key: &'static str,
        /// The reader's error, which names the file.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ChatError {
    /// The error of a template that does not parse.
    pub(super) fn from_load(error: &minijinja::Error) -> Self {
        Self::Syntax { line: error.line().unwrap_or(1), detail: describe(error) }
    }

    /// The error of a template that failed on its input.
    pub(super) fn from_render(error: &minijinja::Error) -> Self {
        if let Some(raised) = find_raised(error) {
            return Self::Raised { message: raised.0.clone() };
        }
        let innermost = innermost(error);
        let near = innermost.range().and_then(|range| innermost.template_source()?.get(range)).unwrap_or_default();
        Self::Render { line: innermost.line().unwrap_or(1), near: shorten(near), detail: describe(innermost) }
    }
}

/// Marks an error as raised by the template's own `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct RaisedByTemplate(pub(super) String);

fn find_raised(error: &minijinja::Error) -> Option<&RaisedByTemplate> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = next {
        if let Some(raised) = current.downcast_ref::<RaisedByTemplate>() {
            return Some(raised);
        }
        next = current.source();
    }
    None
}

fn innermost(error: &minijinja::Error) -> &minijinja::Error {
    let mut found = error;
    while let Some(inner) = std::error::Error::source(found).and_then(|source| source.downcast_ref()) {
        found = inner;
    }
    found
}

fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// One line of at most 80 characters.
fn shorten(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
