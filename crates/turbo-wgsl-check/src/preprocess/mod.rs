//! The preprocessor: imports, conditions, constants by whole word, repetition. Line based, at build time only.
//!
//! | directive | meaning |
//! |---|---|
//! | `#import NAME [WORD=VALUE ..]` | the text of `shared/NAME.wgsl`, once for every set of words |
//! | `#define NAME [VALUE]` | replaces the whole word NAME by VALUE from here on |
//! | `#ifdef NAME`, `#ifndef NAME`, `#if NAME == VALUE`, `#if NAME != VALUE`, `#else`, `#endif` | conditions |
//! | `#repeat NAME COUNT` .. `#end` | the lines between COUNT times (`16`, `N / 8`), with NAME = 0, 1, .. |
//! | `#params TYPE` | declares `params`, as immediates or in a uniform buffer |
//!
//! The words of an import hold inside the imported text only, so one piece serves several sizes in one kernel:
//! `#import fwht N=64 fwht=fwht_64`. Comments and empty lines are dropped.

mod expand;
mod parse;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::CheckError;
use crate::sources::Sources;

/// A variant's text, with the place that every line came from.
#[derive(Clone, Debug)]
pub struct Preprocessed {
    /// Lines before the declaration of `params` (all of them when there is none).
    pub before: String,
    /// Lines after it.
    pub after: String,
    /// Type of the params, if the source declares them.
    pub params: Option<String>,
    /// Per line of `before`, then of `after`: file from the workspace root, and line from 1.
    pub origin: Vec<(String, usize)>,
    /// Place of the `#params` directive.
    pub params_origin: (String, usize),
    /// Names that were asked for or replaced.
    pub used: BTreeSet<String>,
}

/// How `params` reach a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamsMode {
    /// `var<immediate>`.
    Immediate,
    /// A uniform buffer, binding 0 of group 1.
    Uniform,
}

impl Preprocessed {
    /// The whole text. Group 1 holds nothing but the params.
    pub fn text(&self, enables: &str, mode: ParamsMode) -> String {
        let Self { before, after, .. } = self;
        format!("{enables}{before}{}{after}", self.declaration(mode))
    }

    /// The line that declares `params`; empty when the source has none.
    pub fn declaration(&self, mode: ParamsMode) -> String {
        match (&self.params, mode) {
            (None, _) => String::new(),
            (Some(ty), ParamsMode::Immediate) => format!("var<immediate> params: {ty};\n"),
            (Some(ty), ParamsMode::Uniform) => format!("@group(1) @binding(0) var<uniform> params: {ty};\n"),
        }
    }

    /// Where `line` (from 1) of the whole text came from; `enables` is the number of lines put in front.
    pub fn place(&self, line: usize, enables: usize) -> (String, usize) {
        let line = line.saturating_sub(1 + enables);
        let before = self.before.lines().count();
        let found = match &self.params {
            Some(_) if line == before => return self.params_origin.clone(),
            Some(_) if line > before => self.origin.get(line - 1),
            _ => self.origin.get(line),
        };
        found.or(self.origin.last()).cloned().unwrap_or_else(|| self.params_origin.clone())
    }
}

/// Expands the source at `path` (inside `wgsl/`) with `defines`.
///
/// # Errors
/// A directive that is malformed, unbalanced, or names something that is not there.
pub fn preprocess(
    sources: &Sources,
    path: &str,
    defines: &BTreeMap<String, String>,
) -> Result<Preprocessed, CheckError> {
    expand::Expander::run(sources, path, defines)
}

#[cfg(test)]
mod tests;
