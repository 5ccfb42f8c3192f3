//! All variants of all kernels: sources in, checked texts and reflections out.

use std::path::Path;

use crate::error::{CheckError, Failures, Stage};
use crate::preprocess::{ParamsMode, Preprocessed, preprocess};
use crate::reflect::{Reflection, reflect};
use crate::sources::Sources;
use crate::table::generate;
use crate::validate::{Refusal, enables, validate};
use crate::variants::{Class, KernelSpec, VariantSpec, parse_variants};
use crate::{exact, targets};

/// A checked variant.
#[derive(Clone, Debug)]
pub struct CompiledVariant {
    /// Its row in the table.
    pub spec: VariantSpec,
    /// `stem[variant]`, as it labels pipelines.
    pub label: String,
    /// `enable` lines.
    pub enables: &'static str,
    /// Its text.
    pub text: Preprocessed,
    /// Its interface.
    pub reflection: Reflection,
}

/// A kernel and its checked variants, all with the same bindings and params.
#[derive(Clone, Debug)]
pub struct CompiledKernel {
    /// Its entry in the table.
    pub spec: KernelSpec,
    /// First sentence of the header comment.
    pub summary: String,
    /// Its variants.
    pub variants: Vec<CompiledVariant>,
}

/// Every kernel of a source tree.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// By family and name.
    pub kernels: Vec<CompiledKernel>,
}

/// Checks the tree at `root` and writes the Rust table to `out`.
///
/// # Errors
/// Everything that is wrong, sorted by kernel.
pub fn build(root: &Path, out: &Path) -> Result<(), Failures> {
    let compiled = compile(&Sources::read(root)?)?;
    std::fs::write(out, generate(&compiled))
        .map_err(|e| CheckError::Io { path: out.display().to_string(), reason: e.to_string() }.into())
}

/// Checks every variant of `sources`.
///
/// # Errors
/// Everything that is wrong, sorted by kernel.
pub fn compile(sources: &Sources) -> Result<Compiled, Failures> {
    let specs = parse_variants(&sources.variants)?;
    let mut errors = unmatched(sources, &specs);
    let mut kernels = Vec::new();
    for spec in specs {
        if !sources.files.contains_key(&Sources::kernel_path(&spec.family, &spec.name)) {
            continue;
        }
        match compile_kernel(sources, spec) {
            Ok(kernel) => kernels.push(kernel),
            Err(mut found) => errors.append(&mut found),
        }
    }
    if errors.is_empty() { Ok(Compiled { kernels }) } else { Err(Failures(errors)) }
}

/// Kernels without an entry, and entries without a kernel.
fn unmatched(sources: &Sources, specs: &[KernelSpec]) -> Vec<CheckError> {
    let paths: Vec<String> = specs.iter().map(|s| Sources::kernel_path(&s.family, &s.name)).collect();
    let mut errors = Vec::new();
    for path in sources.files.keys().filter(|p| p.starts_with("kernels/") && !paths.contains(p)) {
        errors.push(CheckError::Table(format!("wgsl/{path} has no entry [family.kernel]")));
    }
    for (spec, path) in specs.iter().zip(&paths).filter(|(_, p)| !sources.files.contains_key(*p)) {
        errors.push(CheckError::Table(format!("[{}.{}]: there is no wgsl/{path}", spec.family, spec.name)));
    }
    errors
}

fn compile_kernel(sources: &Sources, spec: KernelSpec) -> Result<CompiledKernel, Vec<CheckError>> {
    let path = Sources::kernel_path(&spec.family, &spec.name);
    let results = parallel(&spec.variants, |variant| compile_variant(sources, &path, &spec, variant));
    let mut variants = Vec::new();
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(variant) => variants.push(variant),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        errors.extend(same_interface(&spec, &path, &variants));
        errors.extend(unused_words(&spec, &variants));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let summary = sources.files.get(&path).map(|text| summary(text)).unwrap_or_default();
    Ok(CompiledKernel { spec, summary, variants })
}

fn compile_variant(
    sources: &Sources,
    path: &str,
    spec: &KernelSpec,
    variant: &VariantSpec,
) -> Result<CompiledVariant, CheckError> {
    let text = preprocess(sources, path, &variant.define)?;
    let enables = enables(&variant.features);
    let refused = |source: &str, refusal: Refusal| {
        // Translators give no line: the entry point then stands for the whole.
        let line = refusal.line.or_else(|| source.lines().position(|l| l.contains("fn main(")).map(|l| l + 1));
        let (file, line) = text.place(line.unwrap_or(1), enables.lines().count());
        CheckError::Variant { file, line, label: spec.label(variant), stage: refusal.stage, message: refusal.message }
    };
    let mut reflection = None;
    for mode in [ParamsMode::Immediate, ParamsMode::Uniform] {
        let source = text.text(enables, mode);
        let checked = check_text(&source, spec, variant).map_err(|refusal| refused(&source, refusal))?;
        reflection.get_or_insert(checked);
    }
    let reflection = reflection.ok_or_else(|| CheckError::Table("no params mode".to_owned()))?;
    let label = match variant.name.as_str() {
        "" => spec.name.clone(),
        name => format!("{}[{name}]", spec.name),
    };
    Ok(CompiledVariant { spec: variant.clone(), label, enables, text, reflection })
}

fn check_text(source: &str, spec: &KernelSpec, variant: &VariantSpec) -> Result<Reflection, Refusal> {
    let valid = validate(source, &variant.features, &variant.overrides)?;
    if spec.class == Class::Exact {
        exact::check(&valid, source, &spec.allow)?;
    }
    targets::translate(&valid, &variant.features)?;
    reflect(&valid.module, &variant.limits)
}

/// The host fills one set of bindings and one params struct, whatever the variant.
fn same_interface(spec: &KernelSpec, path: &str, variants: &[CompiledVariant]) -> Option<CheckError> {
    let first = variants.first()?;
    let shape = |v: &CompiledVariant| {
        let bindings = v.reflection.bindings.iter().map(|b| (b.name.clone(), b.access)).collect::<Vec<_>>();
        (bindings, v.reflection.params.clone())
    };
    let other = variants.iter().find(|v| shape(v) != shape(first))?;
    Some(CheckError::Variant {
        file: format!("wgsl/{path}"),
        line: 1,
        label: spec.label(&other.spec),
        stage: Stage::Interface,
        message: format!(
            "bindings or params differ from those of {}: all variants of a kernel must have the same",
            first.label
        ),
    })
}

/// A word that no variant's text asks for is a spelling mistake.
fn unused_words(spec: &KernelSpec, variants: &[CompiledVariant]) -> Option<CheckError> {
    let words = variants.iter().flat_map(|v| v.spec.define.keys());
    let unused = words.into_iter().find(|w| !variants.iter().any(|v| v.text.used.contains(*w)))?;
    Some(CheckError::Table(format!("[{}.{}] defines {unused}, which its source never uses", spec.family, spec.name)))
}

/// First sentence of the comment that a kernel starts with.
fn summary(text: &str) -> String {
    let words: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//"))
        .map(|line| line.trim_start_matches('/').trim())
        .take_while(|line| !line.is_empty())
        .collect();
    let text = words.join(" ");
    text.split_once(". ").map_or(text.trim_end_matches('.').to_owned(), |(first, _)| first.to_owned())
}

/// Maps over `items` on all cores, keeping their order.
fn parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let share = items.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let handles: Vec<_> =
            items.chunks(share).map(|chunk| scope.spawn(|| chunk.iter().map(&work).collect::<Vec<R>>())).collect();
        let joined = handles.into_iter().flat_map(|h| h.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        joined.collect()
    })
}
