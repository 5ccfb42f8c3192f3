//! What the host has to match: bindings, params, sizes.

use naga::common::wgsl::TypeContext as _;
use naga::proc::Layouter;
use naga::{AddressSpace, ArraySize, Handle, Module, ScalarKind, StorageAccess, Type, TypeInner};

use crate::error::Stage;
use crate::validate::Refusal;
use crate::variants::Limits;

/// What a kernel does with a storage buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads only.
    Read,
    /// Reads and writes.
    ReadWrite,
}

/// A storage buffer of group 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Name in the source.
    pub name: String,
    /// Index in group 0.
    pub index: u32,
    /// What the kernel does with it.
    pub access: Access,
    /// Fewest bytes that can be bound.
    pub min_bytes: u32,
    /// Its type as WGSL.
    pub ty: String,
}

/// A member of the params struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Bytes from the start.
    pub offset: u32,
    /// The Rust type with the same layout.
    pub rust: String,
}

/// Layout of the params struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamsLayout {
    /// Its name, in WGSL and in Rust.
    pub name: String,
    /// Bytes in all.
    pub size: u32,
    /// Its members.
    pub fields: Vec<Field>,
}

/// What a validated variant looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflection {
    /// Storage buffers by index.
    pub bindings: Vec<Binding>,
    /// The params.
    pub params: ParamsLayout,
    /// Invocations in a workgroup along x, y, z.
    pub workgroup_size: [u32; 3],
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
}

/// Largest params struct: the immediates that every Vulkan, Metal and DX12 device has.
const MAX_PARAMS: u32 = 128;

fn interface(message: impl Into<String>) -> Refusal {
    Refusal::new(Stage::Interface, message)
}

/// Reads the interface of a module and holds it to the conventions and to `limits`.
pub(crate) fn reflect(module: &Module, limits: &Limits) -> Result<Reflection, Refusal> {
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| Refusal::new(Stage::Validate, e.to_string()))?;
    let mut bindings = Vec::new();
    let mut params = None;
    let mut workgroup_bytes = 0;
    for (_, global) in module.global_variables.iter() {
        let name = global.name.clone().unwrap_or_default();
        let size = layouter[global.ty].size;
        match global.space {
            // Every variable starts at a multiple of 16, as WebGPU counts.
            AddressSpace::WorkGroup => workgroup_bytes += size.next_multiple_of(16),
            AddressSpace::Private => {}
            AddressSpace::Immediate | AddressSpace::Uniform if name == "params" => {
                params = Some(params_layout(module, &layouter, global.ty)?);
            }
            AddressSpace::Storage { access } => {
                let place = global.binding.filter(|b| b.group == 0);
                let place = place.ok_or_else(|| interface(format!("{name}: storage buffers belong to group 0")))?;
                let written = access.contains(StorageAccess::STORE);
                bindings.push(Binding {
                    name,
                    index: place.binding,
                    access: if written { Access::ReadWrite } else { Access::Read },
                    min_bytes: size,
                    ty: type_name(module, global.ty),
                });
            }
            _ => {
                return Err(interface(format!(
                    "{name}: only storage buffers, `#params` and workgroup or private variables are known to the host"
                )));
            }
        }
    }
    bindings.sort_by_key(|b| b.index);
    if let Some((at, b)) = bindings.iter().enumerate().find(|(at, b)| b.index as usize != *at) {
        return Err(interface(format!("{}: binding {} where {at} was expected: count from 0", b.name, b.index)));
    }
    let params = params.ok_or_else(|| interface("there is no #params line"))?;
    let entry = module.entry_points.first().ok_or_else(|| interface("there is no entry point"))?;
    let reflection = Reflection { bindings, params, workgroup_size: entry.workgroup_size, workgroup_bytes };
    check_limits(&reflection, limits)?;
    Ok(reflection)
}

fn check_limits(r: &Reflection, limits: &Limits) -> Result<(), Refusal> {
    let invocations = r.workgroup_size.iter().product::<u32>();
    let buffers = r.bindings.len() as u32;
    for (what, key, has, declared) in [
        ("bytes of workgroup memory", "workgroup_bytes", r.workgroup_bytes, limits.workgroup_bytes),
        ("storage buffers", "storage_buffers", buffers, limits.storage_buffers),
        ("invocations in a workgroup", "invocations", invocations, limits.invocations),
    ] {
        if has > declared {
            return Err(Refusal::new(
                Stage::Limits,
                format!("{has} {what}, where {declared} are declared: use less, or raise limits.{key} of the variant"),
            ));
        }
    }
    if r.params.size > MAX_PARAMS {
        return Err(Refusal::new(
            Stage::Limits,
            format!("{} bytes of params, where {MAX_PARAMS} are portable: pass the rest in a buffer", r.params.size),
        ));
    }
    Ok(())
}

fn params_layout(module: &Module, layouter: &Layouter, ty: Handle<Type>) -> Result<ParamsLayout, Refusal> {
    let declared = &module.types[ty];
    let (TypeInner::Struct { members, .. }, Some(name)) = (&declared.inner, &declared.name) else {
        return Err(interface("the type of params must be a struct"));
    };
    let fields = members
        .iter()
        .map(|member| {
            let field = member.name.clone().unwrap_or_default();
            let rust = rust_type(module, &field, member.ty)?;
            Ok(Field { name: field, offset: member.offset, rust })
        })
        .collect::<Result<_, Refusal>>()?;
    Ok(ParamsLayout { name: name.clone(), size: layouter[ty].size, fields })
}

fn rust_type(module: &Module, field: &str, ty: Handle<Type>) -> Result<String, Refusal> {
    let scalar = |s: naga::Scalar| match (s.kind, s.width) {
        (ScalarKind::Uint, 4) => Some("u32"),
        (ScalarKind::Sint, 4) => Some("i32"),
        (ScalarKind::Float, 4) => Some("f32"),
        _ => None,
    };
    let unknown = || interface(format!("params.{field}: type {} is not known to the host", type_name(module, ty)));
    Ok(match &module.types[ty].inner {
        TypeInner::Scalar(s) if field == "zero" && scalar(*s) == Some("u32") => "Zero".to_owned(),
        TypeInner::Scalar(s) => scalar(*s).ok_or_else(unknown)?.to_owned(),
        TypeInner::Vector { size, scalar: s } => {
            format!("[{}; {}]", scalar(*s).ok_or_else(unknown)?, *size as u32)
        }
        TypeInner::Array { base, size: ArraySize::Constant(n), .. } => {
            format!("[{}; {n}]", rust_type(module, field, *base)?)
        }
        _ => return Err(unknown()),
    })
}

fn type_name(module: &Module, ty: Handle<Type>) -> String {
    module.to_ctx().type_to_string(ty)
}
