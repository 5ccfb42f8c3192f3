//! SentencePiece BPE: neighbours merge into the token of highest score.

use super::bytes;
use super::hash::FastSet;
use super::vocab::Vocab;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// No neighbour.
const NONE: usize = usize::MAX;

/// A SentencePiece vocabulary's merging part.
#[derive(Debug)]
pub(super) struct Spm {
    scores: Vec<f32>,
    /// The token of each byte, for characters that are no tokens.
    byte_tokens: Vec<Option<u32>>,
    /// Every two characters that stand side by side in some token.
    neighbours: FastSet<u64>,
}

/// Two neighbours that are a token together.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Length of both together when they were paired: a merge since then changes it.
    bytes: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

/// A part of the text; empty once it was merged into another.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    len: usize,
    previous: usize,
    next: usize,
}

impl Spm {
    /// `scores` are those of the tokens; a character that is no token becomes its bytes' tokens, a
    /// byte without token `<unk>`.
    pub(super) fn new(vocab: &Vocab, scores: &[f32]) -> Self {
        let byte_token = |byte: u8| {
            let single = char::from(byte);
            let by_text = || {
                if byte.is_ascii() { vocab.id(single.encode_utf8(&mut [0; 4])) } else { None }
            };
            vocab.id(&bytes::hex_text(byte)).or_else(by_text).or(vocab.special.unk)
        };
        // Adding zero makes a negative zero equal to the other one.
        let scores = scores.iter().map(|score| score + 0.0).collect();
        let mut neighbours = FastSet::default();
        for id in 0..vocab.len() as u32 {
            let text = vocab.text(id).unwrap_or_default();
            let pairs = text.chars().zip(text.chars().skip(1));
            neighbours.extend(pairs.map(|(left, right)| neighbour_key(left, right)));
        }
        Self { scores, byte_tokens: (0..=255).map(byte_token).collect(), neighbours }
    }

    /// Appends the tokens of a text whose spaces are escaped already.
    ///
    /// No token, and so no merge, reaches across two characters that are neighbours in no token:
    /// the text is cut there, which changes nothing but the time it takes.
    pub(super) fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<u32>) {
        let mut start = 0;
        let mut chars = text.char_indices();
        let Some((_, mut left)) = chars.next() else {
            return;
        };
        for (at, right) in chars {
            if !self.neighbours.contains(&neighbour_key(left, right)) {
                self.encode_run(vocab, &text[start..at], out);
                start = at;
            }
            left = right;
        }
        self.encode_run(vocab, &text[start..], out);
    }

    fn encode_run(&self, vocab: &Vocab, text: &str, out: &mut Vec<u32>) {
        if let Some(id) = vocab.id(text).filter(|_| text.chars().nth(1).is_none()) {
            out.push(id);
            return;
        }
        let mut parts: Vec<Part> = text
            .char_indices()
            .enumerate()
            .map(|(i, (start, c))| Part { start, len: c.len_utf8(), previous: i.wrapping_sub(1), next: i + 1 })
            .collect();
        let Some(last) = parts.last_mut() else { return };
        last.next = NONE;
        let mut queue = BinaryHeap::new();
        for right in 1..parts.len() {
            queue.extend(self.pair(vocab, text, &parts, right - 1, right));
        }
        while let Some(pair) = queue.pop() {
            let (left, right) = (parts[pair.left], parts[pair.right]);
            if left.len == 0 || right.len == 0 || left.len + right.len != pair.bytes {
                continue;
            }
            parts[pair.left].len = pair.bytes;
            parts[pair.left].next = right.next;
            parts[pair.right].len = 0;
            if right.next != NONE {
                parts[right.next].previous = pair.left;
            }
            queue.extend(self.pair(vocab, text, &parts, left.previous, pair.left));
            queue.extend(self.pair(vocab, text, &parts, pair.left, right.next));
        }
        self.emit(vocab, text, &parts, out);
    }

    fn emit(&self, vocab: &Vocab, text: &str, parts: &[Part], out: &mut Vec<u32>) {
        for part in parts.iter().filter(|part| part.len > 0) {
            let piece = &text[part.start..part.start + part.len];
            match vocab.id(piece) {
                Some(id) => out.push(id),
                None => out.extend(piece.bytes().filter_map(|byte| self.byte_tokens[usize::from(byte)])),
            }
        }
    }

    fn pair(&self, vocab: &Vocab, text: &str, parts: &[Part], left: usize, right: usize) -> Option<Pair> {
        if left == NONE || right == NONE {
            return None;
        }
        let bytes = parts[left].len + parts[right].len;
        let id = vocab.id(&text[parts[left].start..parts[left].start + bytes])?;
        let score = self.scores.get(id as usize).copied().unwrap_or_default();
        Some(Pair { score, left, right, bytes })
    }
}

fn neighbour_key(left: char, right: char) -> u64 {
    u64::from(u32::from(left)) << 32 | u64::from(u32::from(right))
}

#[cfg(test)]
mod tests {
    use super::super::{Spelling, VocabSpec};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cutting_between_strangers_changes_nothing(text in "[abcde▁]{0,40}", seed in any::<u64>()) {
            // A random vocabulary: letters, and some of all two- and three-letter texts with scores
            // that are often equal.
            let mut state = seed;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut tokens: Vec<String> = ["a", "b", "c", "d", "▁"].map(str::to_owned).to_vec();
            for _ in 0..24 {
                let long = 2 + random(3);
                let token: String = (0..long).map(|_| ['a', 'b', 'c', 'd', '▁'][random(5) as usize]).collect();
                if !tokens.contains(&token) {
                    tokens.push(token);
                }
            }
            let scores: Vec<f32> = tokens.iter().map(|_| random(6) as f32).collect();
            let mut spec = VocabSpec { tokens, scores: Some(scores.clone()), ..VocabSpec::default() };
            spec.special.unk = Some(0);
            let vocab = Vocab::new(&mut spec, Spelling::Plain).unwrap();
            let spm = Spm::new(&vocab, &scores);
            let (mut cut, mut whole) = (Vec::new(), Vec::new());
            spm.encode(&vocab, &text, &mut cut);
            spm.encode_run(&vocab, &text, &mut whole);
            prop_assert_eq!(cut, whole);
        }
    }
}
