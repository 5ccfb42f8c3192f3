//! TurboQuant arithmetic: sign vectors, rotation, Lloyd-Max levels, and the exact primitives under them.
//!
//! Everything follows `docs/exact-attention.md`; the WGSL kernels compute the same bits.

pub mod exact;
pub mod levels;
pub mod rotate;
pub mod signs;
pub mod tables;

/// Version of the stored format: level tables, thresholds, signs, packing and scale choice.
///
/// Anything that changes one stored bit for one input changes this number (session files carry it).
pub const FORMAT_VERSION: u32 = 1;
