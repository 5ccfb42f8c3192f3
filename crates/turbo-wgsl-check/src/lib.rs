//! Build-time checks of the WGSL kernels.
//!
//! `wgsl/build.rs` calls [`build`]; tests call [`compile`] with sources of their own. Every variant in
//! `variants.toml` is preprocessed, validated by naga, translated for Vulkan, Metal, DX12 and GL as wgpu would at run
//! time, held to its declared limits and to the rules of its exactness class, and becomes a row of a Rust table.
//! Every failure names the file and line, the variant and what refused it.

mod compile;
mod error;
mod exact;
mod preprocess;
mod reflect;
mod sources;
mod table;
mod targets;
mod validate;
mod variants;

pub use compile::{Compiled, CompiledKernel, CompiledVariant, build, compile};
pub use error::{CheckError, Failures, Stage};
pub use preprocess::{Preprocessed, preprocess};
pub use reflect::{Access, Binding, Field, ParamsLayout, Reflection};
pub use sources::Sources;
pub use table::{generate, layout_assertion};
pub use variants::{Allow, Class, Feature, KernelSpec, Limits, VariantSpec, parse_variants};
