//! Params of the kernels: the structs that `#params` names.
//!
//! The build compares every one with the layout of its WGSL twin; a field of another name, type or offset does not
//! compile. A kernel of class Exact starts with [`Zero`].

mod attention;
mod bench;
mod kv;
mod matmul;
mod ops;
mod sampling;

use bytemuck::{Pod, Zeroable};

pub use attention::*;
pub use bench::*;
pub use kv::*;
pub use matmul::*;
pub use ops::*;
pub use sampling::*;

/// The zero of the opaque xor: known to be 0 by us, not by a shader compiler.
///
/// `opaque(p)` in WGSL is `p` with its bits xored by it, which keeps compilers from fusing `p` into what follows.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Zero(u32);
