//! From the text of a variant to a validated module.

use std::collections::BTreeMap;

use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

use crate::error::Stage;
use crate::variants::Feature;

/// A module without overrides, and naga's analysis of it.
pub(crate) struct Valid {
    pub(crate) module: Module,
    pub(crate) info: ModuleInfo,
}

/// A refusal: who, at which line of the whole text (if known), why.
pub(crate) struct Refusal {
    pub(crate) stage: Stage,
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(stage: Stage, message: impl Into<String>) -> Self {
        Self { stage, line: None, message: message.into() }
    }
}

/// The `enable` lines that `features` ask for.
///
/// Subgroups have none: naga knows the built-in functions once the feature is on and refuses the directive.
pub(crate) fn enables(features: &[Feature]) -> &'static str {
    let coop = features.iter().any(|f| matches!(f, Feature::CoopMatrix8 | Feature::CoopMatrix16));
    match (features.contains(&Feature::F16), coop) {
        (false, false) => "",
        (true, false) => "enable f16;\n",
        (false, true) => "enable wgpu_cooperative_matrix;\n",
        (true, true) => "enable f16;\nenable wgpu_cooperative_matrix;\n",
    }
}

fn capabilities(features: &[Feature]) -> Capabilities {
    let mut caps = Capabilities::IMMEDIATES | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    for feature in features {
        caps |= match feature {
            Feature::F16 => Capabilities::SHADER_FLOAT16,
            Feature::Subgroup => Capabilities::SUBGROUP | Capabilities::SUBGROUP_BARRIER,
            Feature::CoopMatrix8 | Feature::CoopMatrix16 => Capabilities::COOPERATIVE_MATRIX,
        };
    }
    caps
}

/// Parses and validates `text` and sets its override constants.
pub(crate) fn validate(text: &str, features: &[Feature], overrides: &BTreeMap<String, f64>) -> Result<Valid, Refusal> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| {
        let mut message = e.message().to_owned();
        let labels = e.labels().map(|(_, label)| label).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ");
        if !labels.is_empty() {
            message = format!("{message} ({labels})");
        }
        Refusal { stage: Stage::Parse, line: e.location(text).map(|l| l.line_number as usize), message }
    })?;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities(features));
    if features.contains(&Feature::Subgroup) {
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).map_err(|e| Refusal {
        stage: Stage::Validate,
        line: innermost_line(e.spans().map(|(span, _)| *span), text),
        message: chain(e.as_inner()),
    })?;
    if !module.entry_points.iter().any(|e| e.stage == ShaderStage::Compute && e.name == "main") {
        return Err(Refusal::new(Stage::Interface, "there is no compute entry point named main"));
    }
    let constants = overrides.iter().map(|(k, v)| (k.clone(), *v)).collect();
    let (module, info) = process_overrides(&module, &info, Some((ShaderStage::Compute, "main")), &constants)
        .map_err(|e| Refusal::new(Stage::Overrides, chain(&e)))?;
    Ok(Valid { module: module.into_owned(), info: info.into_owned() })
}

/// Line of the shortest span: naga also names the whole function around a mistake.
fn innermost_line(spans: impl Iterator<Item = naga::Span>, text: &str) -> Option<usize> {
    spans
        .filter_map(|span| Some((span.to_range()?.len(), span)))
        .min_by_key(|(length, _)| *length)
        .map(|(_, span)| span.location(text).line_number as usize)
}

/// An error and its sources on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        let part = e.to_string();
        if !message.contains(&part) {
            message = format!("{message}: {part}");
        }
        source = e.source();
    }
    message.replace('\n', " ")
}
