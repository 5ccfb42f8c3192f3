//! Choosing tokens from logits: `wgsl/kernels/sampling`.

mod choose;
mod chunk_maxima;

pub use choose::Choices;

/// Logits of a chunk.
const CHUNK: usize = 32;
