//! A tree of directives to text.

use std::collections::{BTreeMap, BTreeSet};

use super::Preprocessed;
use super::parse::{Condition, Node, Parser, What};
use super::words::{evaluate, replace};
use crate::error::CheckError;
use crate::sources::Sources;

type Defines = BTreeMap<String, String>;

/// More repetitions than this in one `#repeat` are a mistake.
const MAX_REPEAT: usize = 256;

pub(super) struct Expander<'a> {
    sources: &'a Sources,
    imported: BTreeSet<(String, Vec<(String, String)>)>,
    /// Imports that are being expanded, outermost first.
    open: Vec<String>,
    out: Preprocessed,
}

impl<'a> Expander<'a> {
    pub(super) fn run(sources: &'a Sources, path: &str, defines: &Defines) -> Result<Preprocessed, CheckError> {
        let out = Preprocessed {
            before: String::new(),
            after: String::new(),
            params: None,
            origin: Vec::new(),
            params_origin: (shown(path), 1),
            used: BTreeSet::new(),
        };
        let mut expander = Self { sources, imported: BTreeSet::new(), open: Vec::new(), out };
        let text = sources
            .files
            .get(path)
            .ok_or_else(|| CheckError::Io { path: shown(path), reason: "there is no such file".to_owned() })?;
        let file = shown(path);
        expander.nodes(&file, &Parser::parse(&file, text)?, &mut defines.clone())?;
        Ok(expander.out)
    }

    fn nodes(&mut self, file: &str, nodes: &[Node], defines: &mut Defines) -> Result<(), CheckError> {
        for node in nodes {
            self.node(file, node, defines)?;
        }
        Ok(())
    }

    fn node(&mut self, file: &str, node: &Node, defines: &mut Defines) -> Result<(), CheckError> {
        let place = (file.to_owned(), node.line);
        match &node.what {
            What::Text(text) => {
                let text = replace(text, defines, &mut self.out.used);
                let out = if self.out.params.is_some() { &mut self.out.after } else { &mut self.out.before };
                out.push_str(&text);
                out.push('\n');
                self.out.origin.push(place);
            }
            What::Define { name, value } => {
                let value = replace(value, defines, &mut self.out.used);
                defines.insert(name.clone(), value);
            }
            What::If { condition, then, otherwise } => {
                let branch = if self.holds(&place, condition, defines)? { then } else { otherwise };
                self.nodes(file, branch, defines)?;
            }
            What::Repeat { name, count, body } => {
                let count = replace(count, defines, &mut self.out.used);
                let times = evaluate(&count).filter(|&n| n <= MAX_REPEAT).ok_or_else(|| {
                    error(&place, format!("#repeat {name} {count}: expected a number up to {MAX_REPEAT}"))
                })?;
                for value in 0..times {
                    let mut inner = defines.clone();
                    inner.insert(name.clone(), value.to_string());
                    self.nodes(file, body, &mut inner)?;
                }
            }
            What::Params(ty) => {
                if self.out.params.is_some() {
                    return Err(error(&place, "params are declared twice"));
                }
                self.out.params = Some(ty.clone());
                self.out.params_origin = place;
            }
            What::Import { name, words } => self.import(&place, name, words, defines)?,
        }
        Ok(())
    }

    fn holds(&mut self, place: &(String, usize), c: &Condition, defines: &Defines) -> Result<bool, CheckError> {
        let (Condition::Defined(name)
        | Condition::NotDefined(name)
        | Condition::Equal(name, _)
        | Condition::NotEqual(name, _)) = c;
        self.out.used.insert(name.clone());
        let value = defines.get(name);
        let known =
            || value.ok_or_else(|| error(place, format!("#if {name}: no variant or #define gives {name} a value")));
        Ok(match c {
            Condition::Defined(_) => value.is_some(),
            Condition::NotDefined(_) => value.is_none(),
            Condition::Equal(_, wanted) => known()? == wanted,
            Condition::NotEqual(_, wanted) => known()? != wanted,
        })
    }

    fn import(
        &mut self,
        place: &(String, usize),
        name: &str,
        words: &[(String, String)],
        defines: &Defines,
    ) -> Result<(), CheckError> {
        let path = format!("shared/{name}.wgsl");
        let text = self
            .sources
            .files
            .get(&path)
            .ok_or_else(|| error(place, format!("#import {name}: there is no {}", shown(&path))))?;
        if self.open.contains(&path) {
            return Err(error(place, format!("#import {name}: it imports itself")));
        }
        let words: Vec<(String, String)> =
            words.iter().map(|(w, v)| (w.clone(), replace(v, defines, &mut self.out.used))).collect();
        if !self.imported.insert((path.clone(), words.clone())) {
            return Ok(());
        }
        let mut inner = defines.clone();
        inner.extend(words);
        self.open.push(path.clone());
        let file = shown(&path);
        self.nodes(&file, &Parser::parse(&file, text)?, &mut inner)?;
        self.open.pop();
        Ok(())
    }
}

fn error(place: &(String, usize), message: impl Into<String>) -> CheckError {
    CheckError::Directive { file: place.0.clone(), line: place.1, message: message.into() }
}

/// A path inside `wgsl/` as it is shown to people.
fn shown(path: &str) -> String {
    format!("wgsl/{path}")
}
