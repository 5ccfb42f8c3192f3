//! The largest logit of every chunk.

use super::logit_key;

/// Logits of a chunk.
pub const CHUNK: usize = 32;

/// Keys ([`logit_key`]) of the largest logit of every [`CHUNK`] of `row`; the last chunk may have fewer.
pub fn chunk_maxima(row: &[f32]) -> Vec<u32> {
    row.chunks(CHUNK).map(|chunk| chunk.iter().map(|&logit| logit_key(logit)).max().unwrap_or(0)).collect()
}
