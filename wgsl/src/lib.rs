//! The WGSL kernels as data: checked text, bindings, params, needed features and limits of every variant.
//!
//! The build validates every variant and translates it for Vulkan, Metal, DX12 and GL; what would not run there does
//! not compile here. `README.md` says how to add a kernel.

pub mod params;

#[allow(unused_qualifications, reason = "generated paths are the same in every place")]
mod kernels {
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}

pub use kernels::*;

/// How a kernel's results compare with its twin's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    /// The same bits on every device.
    Exact,
    /// A normalised mean squared error up to this against float64.
    Bounded(f64),
}

/// What a device must offer beyond the portable minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// 16-bit floats in shaders.
    F16,
    /// Subgroup operations.
    Subgroup,
    /// Cooperative matrices of 8x8.
    CoopMatrix8,
    /// Cooperative matrices of 16x16.
    CoopMatrix16,
}

/// What a kernel does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads only.
    Read,
    /// Reads and writes.
    ReadWrite,
}

/// A storage buffer of group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Name in the WGSL source.
    pub name: &'static str,
    /// Index in group 0.
    pub index: u32,
    /// What the kernel does with it.
    pub access: Access,
    /// Fewest bytes that can be bound.
    pub min_bytes: u32,
}

/// How params reach a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParamsMode {
    /// As immediates, set with every dispatch.
    Immediate,
    /// In a uniform buffer, binding 0 of group 1, with a dynamic offset.
    Uniform,
}

/// The text of a variant. The build has checked it in both modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// `enable` lines.
    pub enables: &'static str,
    /// What stands before the declaration of `params`.
    pub before: &'static str,
    /// That declaration in [`ParamsMode::Immediate`].
    pub immediate: &'static str,
    /// That declaration in [`ParamsMode::Uniform`].
    pub uniform: &'static str,
    /// What stands after it.
    pub after: &'static str,
}

impl Source {
    /// The whole text.
    pub fn text(&self, mode: ParamsMode) -> String {
        let params = match mode {
            ParamsMode::Immediate => self.immediate,
            ParamsMode::Uniform => self.uniform,
        };
        [self.enables, self.before, params, self.after].concat()
    }
}

/// One specialisation of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variant {
    /// Names of its options, joined by commas; empty when the kernel has none.
    pub name: &'static str,
    /// `kernel[variant]`: label of pipelines, traces, benches and tests.
    pub label: &'static str,
    /// What the device must offer.
    pub features: &'static [Feature],
    /// Override constants.
    pub overrides: &'static [(&'static str, f64)],
    /// Invocations in a workgroup along x, y, z.
    pub workgroup_size: [u32; 3],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Smallest subgroup it works with; 0 when it uses none.
    pub subgroup_min_size: u32,
    /// Storage buffers by index.
    pub bindings: &'static [Binding],
    /// Its text.
    pub source: Source,
}

/// A kernel: one WGSL file, one twin in turbo-cpu, one set of bindings and params.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kernel {
    /// Folder it is in.
    pub family: &'static str,
    /// Stem of the file.
    pub name: &'static str,
    /// Its exactness.
    pub class: Class,
    /// Bytes of its params struct.
    pub params_bytes: u32,
    /// Its variants, in the order of `variants.toml`.
    pub variants: &'static [Variant],
}

impl Kernel {
    /// The variant of this name (`n128,subgroup`).
    pub fn variant(&self, name: &str) -> Option<&'static Variant> {
        self.variants.iter().find(|v| v.name == name)
    }

    /// Whether `variant` is one of this kernel's.
    pub fn has(&self, variant: &'static Variant) -> bool {
        self.variants.iter().any(|v| std::ptr::eq(v, variant))
    }
}

/// The typed bindings of a kernel, one field per buffer.
pub trait Bindings<B> {
    /// Its params struct.
    type Params: bytemuck::Pod;
    /// The kernel they belong to.
    const KERNEL: &'static Kernel;
    /// The fields in the order of the bindings.
    fn in_order(self) -> impl AsRef<[B]>;
}

/// The kernel `family/name`.
pub fn kernel(family: &str, name: &str) -> Option<&'static Kernel> {
    KERNELS.iter().copied().find(|k| k.family == family && k.name == name)
}
