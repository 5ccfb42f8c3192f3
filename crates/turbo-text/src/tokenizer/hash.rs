//! A fast hasher for tables that are built once from a vocabulary and read for every character.
//!
//! The multiply-and-rotate scheme of rustc's hasher. The keys come from the model file, not from
//! requests, so collisions cannot be provoked by a client.

use std::hash::{BuildHasherDefault, Hasher};

/// A map with the fast hasher.
pub(super) type FastMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// A set with the fast hasher.
pub(super) type FastSet<K> = std::collections::HashSet<K, BuildHasherDefault<FastHasher>>;

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// State of the hasher.
#[derive(Default, Clone, Copy)]
pub(super) struct FastHasher(u64);

impl FastHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.add(word.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.add(rest.iter().rev().fold(rest.len() as u64, |sum, &byte| sum << 8 | u64::from(byte)));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.add(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.add(value);
    }

    fn finish(&self) -> u64 {
        // The table takes its bucket from the low bits and its tag from the high ones; mix the high
        // half down.
        self.0 ^ self.0 >> 32
    }
}
