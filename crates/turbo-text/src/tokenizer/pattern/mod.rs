//! A small regular-expression matcher for pre-tokenizers.
//!
//! llama.cpp runs most pre-tokenizer expressions over a *collapsed* text, in which every character
//! beyond ASCII is replaced by one symbol for its category, and reads `\p{L}` and the like as "that
//! symbol, or these ASCII characters". Expressions without `\p{..}` run over code points. Both ways
//! have consequences (`[^a-z]` holds for every letter beyond ASCII, `~` is in no category) that
//! decide token ids, so the same two alphabets are used here. Alternatives are ordered and
//! repetition is greedy, as in ECMAScript. The patterns are few and fixed; each is checked against
//! a general engine in the tests.

mod exec;
mod parse;
mod set;
mod thousands;

use super::categories;
use set::SymbolSet;
pub(super) use thousands::{BEFORE_GROUPS, GROUPS};

/// What the symbols of a text are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Code points; white space beyond ASCII is U+000B.
    CodePoints,
    /// ASCII, U+000B for other white space, and one symbol for each category group.
    Collapsed,
}

/// The collapsed symbols (the values that llama.cpp uses).
mod symbol {
    pub(super) const OTHER: u8 = 0xD0;
    pub(super) const NUMBER: u8 = 0xD1;
    pub(super) const LETTER: u8 = 0xD2;
    pub(super) const PUNCTUATION: u8 = 0xD3;
    pub(super) const MARK: u8 = 0xD4;
    pub(super) const SYMBOL: u8 = 0xD5;
    /// Han characters; only patterns that tell them apart get this symbol.
    pub(super) const HAN: u8 = 0xD6;
    /// White space beyond ASCII, in both alphabets.
    pub(super) const SPACE: u8 = 0x0B;
}

impl Alphabet {
    /// The members of `{name}` in `\p{name}`.
    fn property(self, name: &str) -> Option<SymbolSet> {
        if self == Self::CodePoints {
            return None;
        }
        let (symbol, ascii) = match name {
            // The cases of letters are one group: collapsed text cannot tell them apart.
            "{L}" | "{Lu}" | "{Ll}" | "{Lt}" | "{Lm}" | "{Lo}" => (symbol::LETTER, "AZaz"),
            "{N}" => (symbol::NUMBER, "09"),
            "{P}" => (symbol::PUNCTUATION, "!#%*,/:;?@[]__{{}}"),
            "{M}" => (symbol::MARK, ""),
            // llama.cpp leaves `~` out.
            "{S}" => (symbol::SYMBOL, "$$++<>^^``||"),
            "{Han}" => (symbol::HAN, ""),
            _ => return None,
        };
        let mut set = SymbolSet::single(u32::from(symbol));
        for range in ascii.as_bytes().chunks_exact(2) {
            set.add_range(u32::from(range[0]), u32::from(range[1]));
        }
        Some(set)
    }
}

/// The symbols of a text in both alphabets, made when first needed.
#[derive(Debug)]
pub(super) struct Symbols {
    collapsed: Vec<u8>,
    points: Vec<u32>,
}

impl Symbols {
    /// The symbols that the given patterns need.
    pub(super) fn new(text: &str, patterns: &[Pattern]) -> Self {
        let mut symbols = Self { collapsed: Vec::new(), points: Vec::new() };
        if patterns.iter().any(|pattern| pattern.alphabet == Alphabet::Collapsed) {
            let han = patterns.iter().any(|pattern| pattern.tells_han);
            symbols.collapsed = text.chars().map(|c| collapse(c, han)).collect();
        }
        if patterns.iter().any(|pattern| pattern.alphabet == Alphabet::CodePoints) {
            symbols.points = text.chars().map(point_symbol).collect();
        }
        symbols
    }
}

fn collapse(c: char, han: bool) -> u8 {
    if c.is_ascii() {
        return c as u8;
    }
    if categories::is_white_space(c) {
        return symbol::SPACE;
    }
    if han && is_han(c) {
        return symbol::HAN;
    }
    match categories::category(c) {
        categories::L => symbol::LETTER,
        categories::N => symbol::NUMBER,
        categories::P => symbol::PUNCTUATION,
        categories::M => symbol::MARK,
        categories::S => symbol::SYMBOL,
        _ => symbol::OTHER,
    }
}

fn point_symbol(c: char) -> u32 {
    if !c.is_ascii() && categories::is_white_space(c) { u32::from(symbol::SPACE) } else { u32::from(c) }
}

/// The Han blocks, as llama.cpp lists them for Kimi-K2.
fn is_han(c: char) -> bool {
    matches!(u32::from(c), 0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2EBEF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Pattern {
    matcher: Matcher,
    alphabet: Alphabet,
    tells_han: bool,
}

#[derive(Debug)]
enum Matcher {
    Program(Vec<exec::Step>),
    /// One of the two expressions that group digits.
    Thousands {
        isolated: bool,
    },
}

impl Pattern {
    /// Compiles an expression; the error says what is wrong with it.
    pub(super) fn new(expression: &str) -> Result<Self, String> {
        let alphabet = if expression.contains("\\p{") { Alphabet::Collapsed } else { Alphabet::CodePoints };
        let matcher = match expression {
            BEFORE_GROUPS => Matcher::Thousands { isolated: false },
            GROUPS => Matcher::Thousands { isolated: true },
            _ => Matcher::Program(exec::compile(&parse::parse(expression, alphabet)?)),
        };
        Ok(Self { matcher, alphabet, tells_han: expression.contains("\\p{Han}") })
    }

    /// Cuts every chunk at the borders of this pattern's matches. `ends` are the chunks' ends, in characters,
    /// ascending.
    pub(super) fn split(&self, symbols: &Symbols, ends: &[usize]) -> Vec<usize> {
        match (&self.matcher, self.alphabet) {
            (Matcher::Thousands { isolated }, _) => thousands::split(*isolated, &symbols.points, ends),
            (Matcher::Program(program), Alphabet::Collapsed) => exec::split(program, &symbols.collapsed, ends),
            (Matcher::Program(program), Alphabet::CodePoints) => exec::split(program, &symbols.points, ends),
        }
    }
}

#[cfg(test)]
mod tests;
