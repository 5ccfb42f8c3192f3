//! Translation of a valid module for every graphics API that could run it, as wgpu would do it there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::{FastHashSet, ShaderStage};

use crate::error::Stage;
use crate::validate::{Refusal, Valid, chain};
use crate::variants::Feature;

/// Oldest Metal language that has all we use (simdgroup matrices).
const METAL_VERSION: (u8, u8) = (2, 3);

/// Translates for every target that a device with `features` can have.
pub(crate) fn translate(valid: &Valid, features: &[Feature]) -> Result<(), Refusal> {
    let has = |f: Feature| features.contains(&f);
    let coop = has(Feature::CoopMatrix8) || has(Feature::CoopMatrix16);
    guarded(Stage::SpirV, || spirv(valid))?;
    if !has(Feature::CoopMatrix16) {
        guarded(Stage::Metal, || metal(valid))?;
    }
    if !coop {
        let model = match (has(Feature::F16), has(Feature::Subgroup)) {
            (true, _) => hlsl::ShaderModel::V6_2,
            (false, true) => hlsl::ShaderModel::V6_0,
            (false, false) => hlsl::ShaderModel::V5_1,
        };
        guarded(Stage::Dx12, || dx12(valid, model))?;
    }
    if features.is_empty() {
        guarded(Stage::Gl, || gl(valid))?;
    }
    Ok(())
}

/// Runs a backend; some of naga's refuse by panicking.
fn guarded(stage: Stage, run: impl FnOnce() -> Result<(), String>) -> Result<(), Refusal> {
    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("the translator panicked: {}", text.unwrap_or("without a message")))
    });
    result.map_err(|message| Refusal::new(stage, message))
}

fn policies() -> BoundsCheckPolicies {
    let policy = BoundsCheckPolicy::Restrict;
    BoundsCheckPolicies {
        index: policy,
        buffer: policy,
        image_load: policy,
        binding_array: BoundsCheckPolicy::Unchecked,
    }
}

fn spirv(valid: &Valid) -> Result<(), String> {
    use naga::back::spv::Capability as C;
    // What wgpu's Vulkan backend asks for at most, by the features of our kernels.
    let capabilities: FastHashSet<C> = [
        C::Shader,
        C::Matrix,
        C::Float16,
        C::StorageBuffer16BitAccess,
        C::UniformAndStorageBuffer16BitAccess,
        C::StorageInputOutput16,
        C::GroupNonUniform,
        C::GroupNonUniformVote,
        C::GroupNonUniformArithmetic,
        C::GroupNonUniformBallot,
        C::GroupNonUniformShuffle,
        C::GroupNonUniformShuffleRelative,
        C::GroupNonUniformQuad,
        C::CooperativeMatrixKHR,
        C::VulkanMemoryModel,
        C::DotProductKHR,
        C::DotProductInputAllKHR,
        C::DotProductInput4x8BitKHR,
        C::DotProductInput4x8BitPackedKHR,
    ]
    .into_iter()
    .collect();
    let options = spv::Options {
        lang_version: (1, 3),
        capabilities: Some(capabilities),
        bounds_check_policies: policies(),
        ..spv::Options::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
    spv::write_vec(&valid.module, &valid.info, &options, Some(&pipeline)).map(drop).map_err(|e| chain(&e))
}

fn metal(valid: &Valid) -> Result<(), String> {
    let options =
        msl::Options { lang_version: METAL_VERSION, bounds_check_policies: policies(), ..msl::Options::default() };
    let pipeline = msl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, "main".to_owned())),
        ..msl::PipelineOptions::default()
    };
    let (text, info) = msl::write_string(&valid.module, &valid.info, &options, &pipeline).map_err(|e| chain(&e))?;
    for entry in info.entry_point_names {
        entry.map_err(|e| chain(&e))?;
    }
    // naga writes these names although Metal's compiler does not know them.
    for (name, reason) in [
        ("simdgroup_half16x16", "Metal has 8x8 matrices only"),
        ("simdgroup_float16x16", "Metal has 8x8 matrices only"),
        ("double", "Metal has no 64-bit floats"),
    ] {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text.split(|c| !known(c)).any(|word| word == name) {
            return Err(format!("{name}: {reason}"));
        }
    }
    Ok(())
}

fn dx12(valid: &Valid, shader_model: hlsl::ShaderModel) -> Result<(), String> {
    let target = |register| hlsl::BindTarget { register, ..hlsl::BindTarget::default() };
    let options = hlsl::Options {
        shader_model,
        special_constants_binding: Some(target(100)),
        immediates_target: Some(target(101)),
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".to_owned())) };
    let mut text = String::new();
    let reflection = hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(&valid.module, &valid.info, None)
        .map_err(|e| chain(&e))?;
    for entry in reflection.entry_point_names {
        entry.map_err(|e| chain(&e))?;
    }
    Ok(())
}

fn gl(valid: &Valid) -> Result<(), String> {
    let options = glsl::Options { version: glsl::Version::new_gles(310), ..glsl::Options::default() };
    let pipeline =
        glsl::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned(), multiview: None };
    let mut text = String::new();
    glsl::Writer::new(&mut text, &valid.module, &valid.info, &options, &pipeline, policies())
        .and_then(|mut writer| writer.write())
        .map(drop)
        .map_err(|e| chain(&e))
}
