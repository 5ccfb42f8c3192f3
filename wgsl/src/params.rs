//! Params of the kernels: the structs that `#params` names.
//!
//! The build compares every one with the layout of its WGSL twin; a field of another name, type or offset does not
//! compile. A kernel of class Exact starts with [`Zero`].

use bytemuck::{Pod, Zeroable};

/// The zero of the opaque xor: known to be 0 by us, not by a shader compiler.
///
/// `opaque(p)` in WGSL is `p` with its bits xored by it, which keeps compilers from fusing `p` into what follows.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Zero(u32);

/// Params of `kv/rotate`: which groups of a matrix of heads are rotated.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct RotateParams {
    /// Zero.
    pub zero: Zero,
    /// 0 forward, 1 inverse.
    pub inverse: u32,
    /// Number of rotation groups in all: heads times groups per head.
    pub groups: u32,
    /// Rotation groups of this size in a head.
    pub groups_per_head: u32,
    /// Vectors of four values from one head to the next: head size / 4.
    pub head_stride: u32,
    /// Vectors of four values before the first group of this size in a head.
    pub first: u32,
}
