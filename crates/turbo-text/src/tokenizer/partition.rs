//! Finding special tokens in text.

use super::hash::FastMap;
use super::vocab::{Attributes, Vocab};

/// A part of the text to tokenize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment<'t> {
    /// A token that stands for itself.
    Token(u32),
    /// Text.
    Text(&'t str),
}

/// The special tokens of a vocabulary.
#[derive(Debug)]
pub(super) struct Partition {
    /// Special tokens, longest text first, then by id.
    tokens: Vec<u32>,
    /// Positions in `tokens` by the first two bytes of their text (the second is 0 for texts of one
    /// byte).
    by_start: FastMap<u64, Vec<usize>>,
}

impl Partition {
    pub(super) fn new(vocab: &Vocab) -> Self {
        let special = Attributes::CONTROL | Attributes::USER_DEFINED | Attributes::UNKNOWN;
        let mut tokens: Vec<u32> = (0..vocab.len() as u32).filter(|&id| vocab.attributes(id).any(special)).collect();
        tokens.sort_by_key(|&id| std::cmp::Reverse(vocab.text(id).map_or(0, str::len)));
        let mut by_start: FastMap<u64, Vec<usize>> = FastMap::default();
        for (position, &id) in tokens.iter().enumerate() {
            let text = vocab.text(id).unwrap_or_default().as_bytes();
            by_start.entry(start_key(text[0], text.get(1).copied())).or_default().push(position);
        }
        Self { tokens, by_start }
    }

    /// Cuts the text at special tokens: the longest token first, over the whole text, as llama.cpp
    /// does. Control and unknown tokens are only looked for when `parse_special`.
    pub(super) fn split<'t>(&self, vocab: &Vocab, text: &'t str, parse_special: bool) -> Vec<Fragment<'t>> {
        if text.is_empty() {
            return Vec::new();
        }
        let mut fragments = vec![Fragment::Text(text)];
        for position in self.present(vocab, text) {
            let id = self.tokens[position];
            let attributes = vocab.attributes(id);
            if !parse_special && attributes.any(Attributes::CONTROL | Attributes::UNKNOWN) {
                continue;
            }
            let token = vocab.text(id).unwrap_or_default();
            let mut next = Vec::with_capacity(fragments.len() + 2);
            for fragment in fragments {
                match fragment {
                    Fragment::Token(_) => next.push(fragment),
                    Fragment::Text(text) => cut(text, token, id, attributes, &mut next),
                }
            }
            fragments = next;
        }
        fragments
    }

    /// Positions in `tokens` of those that occur in the text, ascending.
    fn present(&self, vocab: &Vocab, text: &str) -> Vec<usize> {
        let bytes = text.as_bytes();
        let mut found = vec![];
        let mut seen = vec![false; self.tokens.len()];
        let mut check = |key: u64, rest: &[u8]| {
            for &position in self.by_start.get(&key).map_or(&[][..], Vec::as_slice) {
                let token = vocab.text(self.tokens[position]).unwrap_or_default();
                if !seen[position] && rest.starts_with(token.as_bytes()) {
                    seen[position] = true;
                    found.push(position);
                }
            }
        };
        if !self.tokens.is_empty() {
            let mut starts = [false; 256];
            self.by_start.keys().for_each(|key| starts[(key >> 8) as usize] = true);
            for at in 0..bytes.len() {
                if starts[usize::from(bytes[at])] {
                    check(start_key(bytes[at], None), &bytes[at..]);
                    if let Some(&second) = bytes.get(at + 1) {
                        check(start_key(bytes[at], Some(second)), &bytes[at..]);
                    }
                }
            }
        }
        found.sort_unstable();
        found
    }
}

fn start_key(first: u8, second: Option<u8>) -> u64 {
    u64::from(first) << 8 | u64::from(second.unwrap_or(0))
}

/// Cuts one text at each occurrence of a token.
fn cut<'t>(text: &'t str, token: &str, id: u32, attributes: Attributes, out: &mut Vec<Fragment<'t>>) {
    let mut rest = text;
    while let Some(at) = rest.find(token) {
        let mut left = &rest[..at];
        if attributes.any(Attributes::STRIP_LEFT) {
            left = left.trim_end_matches(is_space);
        }
        if !left.is_empty() {
            out.push(Fragment::Text(left));
        }
        out.push(Fragment::Token(id));
        rest = &rest[at + token.len()..];
        if attributes.any(Attributes::STRIP_RIGHT) {
            rest = rest.trim_start_matches(is_space);
        }
    }
    if !rest.is_empty() {
        out.push(Fragment::Text(rest));
    }
}

/// White space as C's `isspace` has it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}
