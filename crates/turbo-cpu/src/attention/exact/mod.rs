//! The integer arithmetic of attention over a coded cache, one rule per file, plain and safe.
//!
//! These are the twins of the WGSL kernels and the yardstick of the SIMD paths: sections 6 to 11 of
//! `docs/exact-attention.md`, written out. Exactness class: Exact.

pub mod bias;
pub mod cap;
pub mod exp2;
pub mod fold;
pub mod output;
pub mod score;
pub mod state;
pub mod tile;
