//! Caches of finished generations, kept for requests that begin with the same tokens.

use crate::context::{Context, Sequence};

/// A cache and the tokens in it.
struct Idle {
    sequence: Sequence,
    tokens: Vec<u32>,
}

/// Idle caches, the longest unused first.
#[derive(Default)]
pub(super) struct IdleSequences {
    entries: Vec<Idle>,
}

impl IdleSequences {
    /// Keeps a cache; `tokens` are at least those in it.
    pub(super) fn keep(&mut self, sequence: Sequence, tokens: &[u32]) {
        if !sequence.is_empty() {
            let tokens = tokens[..sequence.len()].to_vec();
            self.entries.push(Idle { sequence, tokens });
        }
    }

    /// Takes the cache that shares the longest beginning with `tokens`, cut to it; at least the last token of
    /// `tokens` is left to compute. An empty one if none shares anything.
    pub(super) fn take_prefix(&mut self, context: &mut Context, tokens: &[u32]) -> Sequence {
        let usable = &tokens[..tokens.len().saturating_sub(1)];
        let common = |idle: &Idle| idle.tokens.iter().zip(usable).take_while(|(a, b)| a == b).count();
        let best = self.entries.iter().enumerate().map(|(at, idle)| (common(idle), at)).max();
        match best {
            Some((length, at)) if length > 0 => {
                let mut sequence = self.entries.remove(at).sequence;
                context.truncate(&mut sequence, length);
                sequence
            }
            _ => Sequence::default(),
        }
    }

    /// Drops idle caches, the longest unused first, until `needed` blocks are free or none is left.
    pub(super) fn free_blocks(&mut self, context: &mut Context, needed: usize) {
        while context.free_blocks() < needed && !self.entries.is_empty() {
            let mut idle = self.entries.remove(0);
            context.truncate(&mut idle.sequence, 0);
        }
    }
}
