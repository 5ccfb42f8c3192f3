//! Merging byte pairs by rank.

use super::bytes;
use super::hash::FastMap;
use super::pretokenizers::PreTokenizer;
use super::vocab::Vocab;
use super::{Spelling, TextError};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A symbol that is in no merge and no token.
const NO_SYMBOL: u32 = u32::MAX;
/// Pieces up to this many symbols are merged by scanning, longer ones with a queue.
const SCAN_LIMIT: usize = 48;
/// Rank of a pair that does not merge.
const NO_RANK: u32 = u32::MAX;

/// Byte-pair encoding with ranked merges.
///
/// Merges are between *symbols*: the ids of tokens, and further numbers for texts that only occur
/// in merges.
#[derive(Debug)]
pub(super) struct Bpe {
    pre: PreTokenizer,
    spelling: Spelling,
    /// (left, right) to (rank, merged symbol).
    merges: FastMap<u64, (u32, u32)>,
    /// Texts in merges that are no tokens.
    extra: FastMap<Box<str>, u32>,
    /// Number of tokens; larger symbols are in `extra`.
    n_tokens: u32,
    /// The symbol of each byte, in byte-level spelling.
    byte_symbols: Vec<u32>,
    /// What a byte becomes when no token covers its symbol.
    byte_fallback: Vec<Option<u32>>,
}

/// A symbol of a piece while it is merged.
#[derive(Debug, Clone, Copy)]
struct Part {
    symbol: u32,
    /// Bytes of the piece it covers.
    start: usize,
    end: usize,
}

/// Working memory, kept from piece to piece.
#[derive(Debug, Default)]
struct Scratch {
    parts: Vec<Part>,
    /// Rank and result of merging a part with the next one.
    pairs: Vec<(u32, u32)>,
    text: String,
}

impl Bpe {
    pub(super) fn new(
        vocab: &Vocab,
        pre: PreTokenizer,
        spelling: Spelling,
        merges: &[String],
    ) -> Result<Self, TextError> {
        let mut bpe = Self {
            pre,
            spelling,
            merges: FastMap::with_capacity_and_hasher(merges.len(), Default::default()),
            extra: FastMap::default(),
            n_tokens: vocab.len() as u32,
            byte_symbols: Vec::new(),
            byte_fallback: Vec::new(),
        };
        for (index, merge) in merges.iter().enumerate() {
            let (left, right) = parse_merge(index, merge)?;
            let pair = (bpe.intern(vocab, left), bpe.intern(vocab, right));
            let merged = bpe.intern(vocab, &format!("{left}{right}"));
            // Of equal merges the first counts.
            bpe.merges.entry(pair_key(pair.0, pair.1)).or_insert((index as u32, merged));
        }
        let spell = |byte: u8| match spelling {
            Spelling::ByteLevel => bytes::BYTE_TO_CHAR[usize::from(byte)].to_string(),
            Spelling::Plain => bytes::hex_text(byte),
        };
        bpe.byte_symbols = (0..=255).map(|byte| bpe.symbol(vocab, &spell(byte))).collect();
        // In byte-level text llama.cpp looks for the single bytes of a symbol's UTF-8, which only
        // ASCII can be.
        let falls_back = |byte: u8| spelling == Spelling::Plain || byte.is_ascii_graphic();
        bpe.byte_fallback = (0..=255).map(|byte| vocab.id(&spell(byte)).filter(|_| falls_back(byte))).collect();
        Ok(bpe)
    }

    fn intern(&mut self, vocab: &Vocab, text: &str) -> u32 {
        let found = self.symbol(vocab, text);
        if found != NO_SYMBOL {
            return found;
        }
        let new = self.n_tokens + self.extra.len() as u32;
        self.extra.insert(text.into(), new);
        new
    }

    fn symbol(&self, vocab: &Vocab, text: &str) -> u32 {
        vocab.id(text).or_else(|| self.extra.get(text).copied()).unwrap_or(NO_SYMBOL)
    }

    /// Appends the tokens of a text without special tokens.
    pub(super) fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<u32>) {
        let mut scratch = Scratch::default();
        let escaped;
        let text = if self.spelling == Spelling::Plain {
            escaped = text.replace(' ', "\u{2581}");
            &escaped
        } else {
            text
        };
        self.pre.for_each(text, |piece| self.encode_piece(vocab, piece, &mut scratch, out));
    }

    fn encode_piece(&self, vocab: &Vocab, piece: &str, scratch: &mut Scratch, out: &mut Vec<u32>) {
        if let Some(id) = self.whole(vocab, piece, &mut scratch.text) {
            out.push(id);
            return;
        }
        self.start_parts(vocab, piece, &mut scratch.parts);
        if scratch.parts.len() <= SCAN_LIMIT {
            self.merge_by_scan(&mut scratch.parts, &mut scratch.pairs);
        } else {
            self.merge_by_queue(&mut scratch.parts);
        }
        for part in &scratch.parts {
            if part.symbol < self.n_tokens {
                out.push(part.symbol);
            } else {
                let bytes = &piece.as_bytes()[part.start..part.end];
                out.extend(bytes.iter().filter_map(|&byte| self.byte_fallback[usize::from(byte)]));
            }
        }
    }

    /// The token that a piece is as a whole, for the pre-tokenizers that look for it before
    /// merging.
    fn whole(&self, vocab: &Vocab, piece: &str, text: &mut String) -> Option<u32> {
        let flags = self.pre.flags;
        if !(flags.ignore_merges || flags.gemma && piece.bytes().all(|byte| byte == b'\n')) {
            return None;
        }
        match self.spelling {
            Spelling::Plain => vocab.id(piece),
            Spelling::ByteLevel => {
                text.clear();
                bytes::encode_into(piece.as_bytes(), text);
                vocab.id(text)
            }
        }
    }

    fn start_parts(&self, vocab: &Vocab, piece: &str, parts: &mut Vec<Part>) {
        parts.clear();
        match self.spelling {
            Spelling::ByteLevel => parts.extend(piece.bytes().enumerate().map(|(start, byte)| Part {
                symbol: self.byte_symbols[usize::from(byte)],
                start,
                end: start + 1,
            })),
            Spelling::Plain => parts.extend(piece.char_indices().map(|(start, c)| {
                let end = start + c.len_utf8();
                Part { symbol: self.symbol(vocab, &piece[start..end]), start, end }
            })),
        }
    }

    /// Rank and result of a merge.
    fn pair(&self, left: u32, right: u32) -> (u32, u32) {
        self.merges.get(&pair_key(left, right)).copied().unwrap_or((NO_RANK, NO_SYMBOL))
    }

    /// Merges the pair of lowest rank, the leftmost of equals, until none is left.
    fn merge_by_scan(&self, parts: &mut Vec<Part>, pairs: &mut Vec<(u32, u32)>) {
        pairs.clear();
        pairs.extend(parts.windows(2).map(|two| self.pair(two[0].symbol, two[1].symbol)));
        while let Some((at, &(rank, merged))) = pairs.iter().enumerate().min_by_key(|(_, pair)| pair.0) {
            if rank == NO_RANK {
                return;
            }
            parts[at].symbol = merged;
            parts[at].end = parts[at + 1].end;
            parts.remove(at + 1);
            pairs.remove(at);
            if at > 0 {
                pairs[at - 1] = self.pair(parts[at - 1].symbol, merged);
            }
            if at + 1 < parts.len() {
                pairs[at] = self.pair(merged, parts[at + 1].symbol);
            }
        }
    }

    /// The same for long pieces: a queue of pairs over a linked list of parts.
    fn merge_by_queue(&self, parts: &mut Vec<Part>) {
        const NONE: usize = usize::MAX;
        let n = parts.len();
        let mut next: Vec<usize> = (1..n).chain([NONE]).collect();
        let mut previous: Vec<usize> = std::iter::once(NONE).chain(0..n - 1).collect();
        let mut alive = vec![true; n];
        let mut queue = BinaryHeap::new();
        let offer = |queue: &mut BinaryHeap<_>, parts: &[Part], left: usize, right: usize| {
            let (rank, merged) = self.pair(parts[left].symbol, parts[right].symbol);
            if rank != NO_RANK {
                queue.push(Reverse((rank, left, right, parts[left].end, parts[right].end, merged)));
            }
        };
        for left in 0..n - 1 {
            offer(&mut queue, parts, left, left + 1);
        }
        while let Some(Reverse((_, left, right, left_end, right_end, merged))) = queue.pop() {
            // A part that grew or was swallowed since makes the entry stale.
            if !alive[left] || !alive[right] || parts[left].end != left_end || parts[right].end != right_end {
                continue;
            }
            parts[left] = Part { symbol: merged, start: parts[left].start, end: right_end };
            alive[right] = false;
            next[left] = next[right];
            if next[left] != NONE {
                previous[next[left]] = left;
                offer(&mut queue, parts, left, next[left]);
            }
            if previous[left] != NONE {
                offer(&mut queue, parts, previous[left], left);
            }
        }
        let mut at = 0;
        parts.retain(|_| {
            at += 1;
            alive[at - 1]
        });
    }
}

fn pair_key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// Splits a merge at its first space; a space in front belongs to the left text.
fn parse_merge(index: usize, merge: &str) -> Result<(&str, &str), TextError> {
    let first = merge.chars().next().map_or(0, char::len_utf8);
    let found = merge[first..].split_once(' ').filter(|(_, right)| !right.is_empty());
    let (left, right) = found.ok_or_else(|| TextError::BadMerge { index, text: merge.to_owned() })?;
    Ok((&merge[..first + left.len()], right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_split_at_the_first_space_after_the_first_character() {
        assert_eq!(parse_merge(0, "a b").unwrap(), ("a", "b"));
        assert_eq!(parse_merge(0, "é b").unwrap(), ("é", "b"));
        assert_eq!(parse_merge(0, "  b").unwrap(), (" ", "b"));
        for bad in ["", "ab", "a ", " b", " "] {
            assert!(parse_merge(0, bad).is_err(), "{bad:?}");
        }
    }
}
