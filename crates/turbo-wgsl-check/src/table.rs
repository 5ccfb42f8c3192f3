//! The Rust side of the kernels: a table, typed bindings, and assertions that layouts agree.

use std::fmt::Write as _;

use crate::compile::{Compiled, CompiledKernel, CompiledVariant};
use crate::preprocess::ParamsMode;
use crate::reflect::{Access, ParamsLayout};
use crate::sources::Sources;
use crate::variants::Class;

/// The text of a Rust file to be included by turbo-wgsl.
pub fn generate(compiled: &Compiled) -> String {
    let mut out = String::from("// Generated from wgsl/ by its build script.\n\n");
    let mut families: Vec<&str> = compiled.kernels.iter().map(|k| k.spec.family.as_str()).collect();
    families.dedup();
    for family in &families {
        line(&mut out, &format!("/// Kernels of the family `{family}`."));
        line(&mut out, &format!("pub mod {family} {{"));
        for kernel in compiled.kernels.iter().filter(|k| k.spec.family == *family) {
            kernel_module(&mut out, kernel);
        }
        line(&mut out, "}");
    }
    line(&mut out, "/// Every kernel, by family and name.");
    line(&mut out, "pub static KERNELS: &[&crate::Kernel] = &[");
    for kernel in &compiled.kernels {
        line(&mut out, &format!("    &{}::{}::KERNEL,", kernel.spec.family, kernel.spec.name));
    }
    line(&mut out, "];");
    layout_assertions(&mut out, compiled);
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn kernel_module(out: &mut String, kernel: &CompiledKernel) {
    let spec = &kernel.spec;
    let class = match spec.class {
        Class::Exact => "Exact".to_owned(),
        Class::Bounded(nmse) => format!("Bounded({nmse:?})"),
    };
    let Some(first) = kernel.variants.first() else { return };
    let params = &first.reflection.params.name;
    line(out, &format!("/// {}.", kernel.summary));
    line(out, &format!("pub mod {} {{", spec.name));
    line(out, "/// The kernel and its variants.");
    line(out, "pub static KERNEL: crate::Kernel = crate::Kernel {");
    line(out, &format!("    family: {:?}, name: {:?}, class: crate::Class::{class},", spec.family, spec.name));
    line(out, &format!("    params_bytes: {},", first.reflection.params.size));
    line(out, "    variants: &[");
    for variant in &kernel.variants {
        variant_row(out, variant);
    }
    line(out, "    ],\n};");
    for (index, variant) in kernel.variants.iter().enumerate() {
        line(out, &format!("/// `{}`.", variant.label));
        line(
            out,
            &format!("pub static {}: &crate::Variant = &KERNEL.variants[{index}];", const_name(&variant.spec.name)),
        );
    }
    bindings_struct(out, first, params);
    line(out, "}");
}

fn const_name(variant: &str) -> String {
    if variant.is_empty() {
        return "PLAIN".to_owned();
    }
    let name: String = variant.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.to_ascii_uppercase();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn variant_row(out: &mut String, v: &CompiledVariant) {
    let r = &v.reflection;
    let features: Vec<String> = v.spec.features.iter().map(|f| format!("crate::Feature::{f:?}")).collect();
    let overrides: Vec<String> = v.spec.overrides.iter().map(|(k, x)| format!("({k:?}, {x:?})")).collect();
    let subgroup = if features.is_empty() { 0 } else { v.spec.limits.subgroup_min_size };
    let bindings: Vec<String> = r
        .bindings
        .iter()
        .map(|b| {
            let access = match b.access {
                Access::Read => "Read",
                Access::ReadWrite => "ReadWrite",
            };
            format!(
                "crate::Binding {{ name: {:?}, index: {}, access: crate::Access::{access}, min_bytes: {} }}",
                b.name, b.index, b.min_bytes
            )
        })
        .collect();
    // The text holds no `"#`: WGSL has no strings.
    let _ = write!(
        out,
        "        crate::Variant {{ name: {:?}, label: {:?}, features: &[{}], overrides: &[{}],\n\
         \x20           workgroup_size: {:?}, workgroup_bytes: {}, subgroup_min_size: {subgroup},\n\
         \x20           bindings: &[{}],\n\
         \x20           source: crate::Source {{ enables: {:?}, before: r#\"{}\"#,\n\
         \x20               immediate: {:?}, uniform: {:?}, after: r#\"{}\"# }} }},\n",
        v.spec.name,
        v.label,
        features.join(", "),
        overrides.join(", "),
        r.workgroup_size,
        r.workgroup_bytes,
        bindings.join(", "),
        v.enables,
        v.text.before,
        v.text.declaration(ParamsMode::Immediate),
        v.text.declaration(ParamsMode::Uniform),
        v.text.after,
    );
}

/// One field per binding: a host that forgets, renames or adds one does not compile.
fn bindings_struct(out: &mut String, variant: &CompiledVariant, params: &str) {
    let bindings = &variant.reflection.bindings;
    line(out, "/// What the kernel works on, in the order of its bindings.");
    line(out, "#[derive(Clone, Copy, Debug)]");
    line(out, "pub struct Bindings<B> {");
    for b in bindings {
        let access = if b.access == Access::Read { "read" } else { "read and written" };
        line(out, &format!("    /// `{}`, {access}.\n    pub {}: B,", b.ty, b.name));
    }
    line(out, "}");
    line(out, "impl<B> crate::Bindings<B> for Bindings<B> {");
    line(out, &format!("    type Params = crate::params::{params};"));
    line(out, "    const KERNEL: &'static crate::Kernel = &KERNEL;");
    let names: Vec<String> = bindings.iter().map(|b| format!("self.{}", b.name)).collect();
    line(out, &format!("    fn in_order(self) -> impl AsRef<[B]> {{ [{}] }}", names.join(", ")));
    line(out, "}");
}

fn layout_assertions(out: &mut String, compiled: &Compiled) {
    let mut done: Vec<&ParamsLayout> = Vec::new();
    for kernel in &compiled.kernels {
        let Some(variant) = kernel.variants.first() else { continue };
        let layout = &variant.reflection.params;
        if done.contains(&layout) {
            continue;
        }
        done.push(layout);
        let path = Sources::kernel_path(&kernel.spec.family, &kernel.spec.name);
        out.push_str(&layout_assertion(layout, &format!("wgsl/{path}"), "crate::params"));
    }
}

/// Rust that does not compile unless the struct `module::NAME` has this layout; messages name struct and field.
pub fn layout_assertion(layout: &ParamsLayout, path: &str, module: &str) -> String {
    let ParamsLayout { name, size, fields } = layout;
    let mut out = format!("const _: () = {{\n    use {module}::{{{name}, Zero}};\n");
    line(&mut out, "    let _: Option<Zero> = None;");
    for f in fields {
        let (field, offset, rust) = (&f.name, f.offset, &f.rust);
        line(&mut out, &format!("    let _: fn(&{name}) -> &{rust} = |p| &p.{field};"));
        line(
            &mut out,
            &format!(
                "    assert!(core::mem::offset_of!({name}, {field}) == {offset}, \
             \"{name}.{field} does not start at byte {offset}, where {path} has it\");"
            ),
        );
    }
    line(
        &mut out,
        &format!(
            "    assert!(core::mem::size_of::<{name}>() == {size}, \"{name} does not have the {size} bytes of {path}\");"
        ),
    );
    out.push_str("};\n");
    out
}
