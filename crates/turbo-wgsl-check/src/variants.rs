//! `variants.toml`: which variants every kernel has.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::CheckError;

/// How a kernel's results compare with its twin's.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Class {
    /// The same bits.
    Exact,
    /// A normalised mean squared error up to this against float64.
    Bounded(f64),
}

/// What a device must offer beyond the portable minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// 16-bit floats in shaders.
    F16,
    /// Subgroup operations.
    Subgroup,
    /// Cooperative matrices of 8x8, what Metal has.
    CoopMatrix8,
    /// Cooperative matrices of 16x16, what Vulkan devices have.
    CoopMatrix16,
}

/// A rule of the exactness class that a kernel is freed from, because its values make it harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allow {
    /// f32 division, as a guess that exact comparisons correct.
    Division,
    /// sqrt or inverseSqrt, as a guess that exact comparisons correct.
    Sqrt,
    /// Products next to adds, `fma` and `dot` of f32, where every value is an integer below 2^24.
    IntegerValues,
}

/// Limits a variant keeps within; the defaults hold on every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of workgroup memory: 16384 unless declared.
    pub workgroup_bytes: u32,
    /// Storage buffers: 8 unless declared.
    pub storage_buffers: u32,
    /// Invocations in a workgroup: 256 unless declared.
    pub invocations: u32,
    /// Smallest subgroup that the kernel works with: 4 unless declared. Only used with the subgroup feature.
    pub subgroup_min_size: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { workgroup_bytes: 16384, storage_buffers: 8, invocations: 256, subgroup_min_size: 4 }
    }
}

/// One variant of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantSpec {
    /// Names of its options, joined by commas; empty for the only variant of a kernel without options.
    pub name: String,
    /// Words for the preprocessor.
    pub define: BTreeMap<String, String>,
    /// Override constants.
    pub overrides: BTreeMap<String, f64>,
    /// Needed features, sorted.
    pub features: Vec<Feature>,
    /// Declared limits.
    pub limits: Limits,
}

/// One kernel with its variants.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelSpec {
    /// Folder of the kernel.
    pub family: String,
    /// Stem of the file.
    pub name: String,
    /// Its class.
    pub class: Class,
    /// Rules it is freed from.
    pub allow: Vec<Allow>,
    /// Its variants, in the order of the table.
    pub variants: Vec<VariantSpec>,
}

impl KernelSpec {
    /// `family/kernel[variant]`.
    pub fn label(&self, variant: &VariantSpec) -> String {
        let Self { family, name, .. } = self;
        if variant.name.is_empty() { format!("{family}/{name}") } else { format!("{family}/{name}[{}]", variant.name) }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LimitsEntry {
    workgroup_bytes: Option<u32>,
    storage_buffers: Option<u32>,
    invocations: Option<u32>,
    subgroup_min_size: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct OptionEntry {
    define: toml::Table,
    #[serde(rename = "override")]
    overrides: BTreeMap<String, f64>,
    features: Vec<Feature>,
    limits: LimitsEntry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KernelEntry {
    class: Class,
    #[serde(default)]
    allow: Vec<Allow>,
    #[serde(default)]
    axis: Vec<toml::Table>,
    #[serde(default)]
    except: Vec<Vec<String>>,
    #[serde(default)]
    define: toml::Table,
    #[serde(default, rename = "override")]
    overrides: BTreeMap<String, f64>,
    #[serde(default)]
    features: Vec<Feature>,
    #[serde(default)]
    limits: LimitsEntry,
}

/// The table: axes that kernels share, by name, and kernels by family and name.
#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    axes: BTreeMap<String, toml::Table>,
    #[serde(flatten)]
    families: BTreeMap<String, BTreeMap<String, KernelEntry>>,
}

/// Reads the table: one entry `[family.kernel]` per kernel, with `class`, and variants as the product of its axes. An axis
/// `use = "name"`, or a list of names, has the options of `[axes.name]`, before its own.
///
/// # Errors
/// TOML that does not parse, unknown keys, an axis that is not there, two variants of the same name.
pub fn parse_variants(text: &str) -> Result<Vec<KernelSpec>, CheckError> {
    let Table { axes, families } =
        toml::from_str(text).map_err(|e| CheckError::Table(e.to_string().trim_end().to_owned()))?;
    let mut kernels = Vec::new();
    for (family, entries) in families {
        for (name, mut entry) in entries {
            let kernel = format!("{family}.{name}");
            for axis in &mut entry.axis {
                *axis = with_shared(&kernel, &axes, axis)?;
            }
            let variants = product(&kernel, &entry)?;
            kernels.push(KernelSpec { family: family.clone(), name, class: entry.class, allow: entry.allow, variants });
        }
    }
    Ok(kernels)
}

/// The options of `axis`, after those of the shared axes that it uses, if any.
fn with_shared(
    kernel: &str,
    axes: &BTreeMap<String, toml::Table>,
    axis: &toml::Table,
) -> Result<toml::Table, CheckError> {
    let mut own = axis.clone();
    let mut options = toml::Table::new();
    let names = match own.remove("use") {
        None => return Ok(own),
        Some(toml::Value::Array(names)) => names,
        Some(name) => vec![name],
    };
    for name in names {
        let shared = name.as_str().and_then(|name| axes.get(name)).ok_or_else(|| {
            let known = axes.keys().cloned().collect::<Vec<_>>().join(", ");
            let found = name.as_str().map_or_else(|| format!("a {}", name.type_str()), |name| format!("{name:?}"));
            CheckError::Table(format!("[{kernel}] use = {found}: expected the name of one of [axes]: {known}"))
        })?;
        options.extend(shared.clone());
    }
    for (option, value) in own {
        if options.insert(option.clone(), value).is_some() {
            return Err(CheckError::Table(format!("[{kernel}] option {option} is in [axes] already")));
        }
    }
    Ok(options)
}

fn product(kernel: &str, entry: &KernelEntry) -> Result<Vec<VariantSpec>, CheckError> {
    let base = VariantSpec {
        name: String::new(),
        define: BTreeMap::new(),
        overrides: BTreeMap::new(),
        features: Vec::new(),
        limits: Limits::default(),
    };
    let base = apply(kernel, &base, &entry.define, &entry.overrides, &entry.features, &entry.limits)?;
    let mut variants = vec![(Vec::<String>::new(), base)];
    for axis in &entry.axis {
        let mut next = Vec::new();
        for (names, variant) in &variants {
            for (option, value) in axis {
                let o: OptionEntry = value
                    .clone()
                    .try_into()
                    .map_err(|e| CheckError::Table(format!("[{kernel}] option {option}: {e}").trim_end().to_owned()))?;
                let mut names = names.clone();
                // `_` is the option that needs no mention.
                if option != "_" {
                    names.push(option.clone());
                }
                next.push((names, apply(kernel, variant, &o.define, &o.overrides, &o.features, &o.limits)?));
            }
        }
        variants = next;
    }
    let excluded = |names: &[String]| entry.except.iter().any(|set| set.iter().all(|o| names.contains(o)));
    let mut out: Vec<VariantSpec> = Vec::new();
    for (names, variant) in variants.into_iter().filter(|(names, _)| !excluded(names)) {
        let name = names.join(",");
        if out.iter().any(|v| v.name == name) {
            return Err(CheckError::Table(format!("[{kernel}] has two variants named {name:?}")));
        }
        out.push(VariantSpec { name, ..variant });
    }
    if out.is_empty() {
        return Err(CheckError::Table(format!("[{kernel}] has no variant left after except")));
    }
    Ok(out)
}

fn apply(
    kernel: &str,
    base: &VariantSpec,
    define: &toml::Table,
    overrides: &BTreeMap<String, f64>,
    features: &[Feature],
    limits: &LimitsEntry,
) -> Result<VariantSpec, CheckError> {
    let mut v = base.clone();
    for (name, value) in define {
        let value = match value {
            toml::Value::String(s) => s.clone(),
            toml::Value::Integer(i) => i.to_string(),
            toml::Value::Boolean(true) => String::new(),
            other => {
                return Err(CheckError::Table(format!(
                    "[{kernel}] define {name}: expected a string, an integer or true, found a {}",
                    other.type_str()
                )));
            }
        };
        v.define.insert(name.clone(), value);
    }
    v.overrides.extend(overrides.iter().map(|(k, x)| (k.clone(), *x)));
    v.features.extend(features);
    v.features.sort_unstable();
    v.features.dedup();
    let set = |to: &mut u32, from: Option<u32>| *to = from.unwrap_or(*to);
    set(&mut v.limits.workgroup_bytes, limits.workgroup_bytes);
    set(&mut v.limits.storage_buffers, limits.storage_buffers);
    set(&mut v.limits.invocations, limits.invocations);
    set(&mut v.limits.subgroup_min_size, limits.subgroup_min_size);
    Ok(v)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [kv.encode]
        class = "exact"
        allow = ["sqrt"]
        except = [["hd64", "subgroup"]]
        [[kv.encode.axis]]
        hd64 = { define = { HEAD = 64 } }
        hd128 = { define = { HEAD = 128 } }
        [[kv.encode.axis]]
        _ = {}
        subgroup = { define = { SUBGROUP = true }, features = ["subgroup"], limits = { subgroup_min_size = 32 } }
        [op.norm]
        class = { bounded = 1e-6 }
        override = { ROWS = 2 }
    "#;

    #[test]
    fn variants_are_the_product_of_the_axes() {
        let kernels = parse_variants(TABLE).unwrap();
        let names: Vec<String> = kernels.iter().flat_map(|k| k.variants.iter().map(|v| k.label(v))).collect();
        assert_eq!(names, ["kv/encode[hd64]", "kv/encode[hd128]", "kv/encode[hd128,subgroup]", "op/norm"]);
        let last = &kernels[0].variants[2];
        assert_eq!(last.define["HEAD"], "128");
        assert_eq!((last.define["SUBGROUP"].as_str(), last.limits.subgroup_min_size), ("", 32));
        assert_eq!((kernels[1].class, kernels[1].variants[0].overrides["ROWS"]), (Class::Bounded(1e-6), 2.0));
    }

    #[test]
    fn axes_can_be_shared() {
        let table = r#"
            [axes.types]
            q8 = { define = { LOW = 8 } }
            q4 = { define = { LOW = 4 } }
            [op.a]
            class = "exact"
            [[op.a.axis]]
            use = "types"
            f16 = { features = ["f16"] }
            [[op.a.axis]]
            t1 = {}
            t4 = {}
            [op.b]
            class = "exact"
            [[op.b.axis]]
            use = ["more", "types"]
            [axes.more]
            q2 = {}
        "#;
        let kernels = parse_variants(table).unwrap();
        let names = |k: usize| kernels[k].variants.iter().map(|v| v.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(0), ["q8,t1", "q8,t4", "q4,t1", "q4,t4", "f16,t1", "f16,t4"]);
        assert_eq!(names(1), ["q2", "q8", "q4"]);
        let (last, other) = (&kernels[0].variants[5], &kernels[1].variants[2]);
        assert_eq!((&last.features[..], other.define["LOW"].as_str()), (&[Feature::F16][..], "4"));
        let message = |text: &str| parse_variants(text).unwrap_err().to_string();
        assert_eq!(
            message("[axes.types]\nx = {}\n[op.a]\nclass = \"exact\"\n[[op.a.axis]]\nuse = \"kinds\""),
            "wgsl/variants.toml: [op.a] use = \"kinds\": expected the name of one of [axes]: types"
        );
        assert_eq!(
            message("[axes.types]\nx = {}\n[op.a]\nclass = \"exact\"\n[[op.a.axis]]\nuse = \"types\"\nx = {}"),
            "wgsl/variants.toml: [op.a] option x is in [axes] already"
        );
    }

    #[test]
    fn mistakes_in_the_table_are_named() {
        let fails = |text: &str, part: &str| {
            let message = parse_variants(text).unwrap_err().to_string();
            assert!(message.starts_with("wgsl/variants.toml: ") && message.contains(part), "{message}");
        };
        fails("[kv.a]\nclass = \"exact\"\nfeature = []", "unknown field `feature`");
        fails("[kv.a]\nclass = \"approximate\"", "approximate");
        fails("[kv.a]\nclass = \"exact\"\n[[kv.a.axis]]\nx = { features = [\"f17\"] }", "option x");
        fails(
            "[kv.a]\nclass = \"exact\"\ndefine = { N = 1.5 }",
            "define N: expected a string, an integer or true, found a float",
        );
        fails(
            "[kv.a]\nclass = \"exact\"\n[[kv.a.axis]]\n_ = {}\n[[kv.a.axis]]\n_ = {}\nx={}\n[[kv.a.axis]]\n_ = {}\nx={}",
            "two variants named \"x\"",
        );
    }
}
