//! Params of the kernels of `bench`: measurements.

use bytemuck::{Pod, Zeroable};

use super::Zero;

/// Params of `bench/stream`: how much is read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct StreamParams {
    /// Zero.
    pub zero: Zero,
    /// Number of vectors of four words.
    pub vectors: u32,
}
