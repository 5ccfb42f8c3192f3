//! Text to a tree of directives.

use super::words::is_name;
use crate::error::CheckError;

/// A test of a name.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Defined(String),
    NotDefined(String),
    Equal(String, String),
    NotEqual(String, String),
}

/// A line or a directive, with its line number from 1.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Text(String),
    Import { name: String, words: Vec<(String, String)> },
    Define { name: String, value: String },
    If { condition: Condition, then: Vec<Node>, otherwise: Vec<Node> },
    Repeat { name: String, count: String, body: Vec<Node> },
    Params(String),
}

/// How a block of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    File,
    Else,
    Condition,
    Repeat,
}

pub(super) struct Parser<'a> {
    file: &'a str,
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    line: usize,
}

impl<'a> Parser<'a> {
    /// Parses the text of `file`.
    pub(super) fn parse(file: &'a str, text: &'a str) -> Result<Vec<Node>, CheckError> {
        let mut parser = Self { file, lines: text.lines().enumerate(), line: 0 };
        match parser.block()? {
            (nodes, End::File) => Ok(nodes),
            (_, end) => Err(parser.error(match end {
                End::Else => "#else without #ifdef, #ifndef or #if",
                End::Condition => "#endif without #ifdef, #ifndef or #if",
                _ => "#end without #repeat",
            })),
        }
    }

    fn error(&self, message: impl Into<String>) -> CheckError {
        CheckError::Directive { file: self.file.to_owned(), line: self.line, message: message.into() }
    }

    fn block(&mut self) -> Result<(Vec<Node>, End), CheckError> {
        let mut nodes = Vec::new();
        while let Some((index, text)) = self.lines.next() {
            self.line = index + 1;
            let text = text.split("//").next().unwrap_or_default().trim_end();
            let Some(directive) = text.trim_start().strip_prefix('#') else {
                if !text.trim().is_empty() {
                    nodes.push(Node { line: self.line, what: What::Text(text.to_owned()) });
                }
                continue;
            };
            let line = self.line;
            let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
            let what = match (word, rest.trim()) {
                ("else", "") => return Ok((nodes, End::Else)),
                ("endif", "") => return Ok((nodes, End::Condition)),
                ("end", "") => return Ok((nodes, End::Repeat)),
                (word, rest) => self.directive(word, rest)?,
            };
            nodes.push(Node { line, what });
        }
        Ok((nodes, End::File))
    }

    fn directive(&mut self, word: &str, rest: &str) -> Result<What, CheckError> {
        match word {
            "import" => self.import(rest),
            "define" => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                Ok(What::Define { name: self.name(name)?, value: value.trim().to_owned() })
            }
            "ifdef" => {
                let condition = Condition::Defined(self.name(rest)?);
                self.condition(condition)
            }
            "ifndef" => {
                let condition = Condition::NotDefined(self.name(rest)?);
                self.condition(condition)
            }
            "if" => {
                let condition = self.comparison(rest)?;
                self.condition(condition)
            }
            "repeat" => self.repeat(rest),
            "params" => Ok(What::Params(self.name(rest)?)),
            _ => Err(self.error(format!(
                "unknown directive #{word}: expected #import, #define, #ifdef, #ifndef, #if, #else, #endif, #repeat, \
                 #end or #params"
            ))),
        }
    }

    fn name(&self, text: &str) -> Result<String, CheckError> {
        if is_name(text) { Ok(text.to_owned()) } else { Err(self.error(format!("{text:?} is not a name"))) }
    }

    fn import(&self, rest: &str) -> Result<What, CheckError> {
        let mut parts = rest.split_whitespace();
        let name = parts.next().ok_or_else(|| self.error("#import needs the name of a file in wgsl/shared"))?;
        let words = parts
            .map(|part| {
                let (word, value) = part
                    .split_once('=')
                    .ok_or_else(|| self.error(format!("#import {name}: expected WORD=VALUE, found {part:?}")))?;
                Ok((self.name(word)?, value.to_owned()))
            })
            .collect::<Result<_, CheckError>>()?;
        Ok(What::Import { name: name.to_owned(), words })
    }

    fn comparison(&self, rest: &str) -> Result<Condition, CheckError> {
        if let Some((name, value)) = rest.split_once("==") {
            return Ok(Condition::Equal(self.name(name.trim())?, value.trim().to_owned()));
        }
        if let Some((name, value)) = rest.split_once("!=") {
            return Ok(Condition::NotEqual(self.name(name.trim())?, value.trim().to_owned()));
        }
        Err(self.error(format!("#if {rest}: expected NAME == VALUE or NAME != VALUE")))
    }

    fn condition(&mut self, condition: Condition) -> Result<What, CheckError> {
        let opened = self.line;
        let (then, mut end) = self.block()?;
        let mut otherwise = Vec::new();
        if end == End::Else {
            (otherwise, end) = self.block()?;
        }
        if end != End::Condition {
            return Err(self.error(format!("the condition of line {opened} is not closed by #endif")));
        }
        Ok(What::If { condition, then, otherwise })
    }

    fn repeat(&mut self, rest: &str) -> Result<What, CheckError> {
        let opened = self.line;
        let (name, count) = rest.split_once(' ').ok_or_else(|| self.error("expected #repeat NAME COUNT"))?;
        let name = self.name(name)?;
        let (body, end) = self.block()?;
        if end != End::Repeat {
            return Err(self.error(format!("the #repeat of line {opened} is not closed by #end")));
        }
        Ok(What::Repeat { name, count: count.trim().to_owned(), body })
    }
}
