//! What a device can do, decided once when it is opened.

use serde::Serialize;
use turbo_wgsl::{Feature, Variant};
use wgpu::{CooperativeScalarType, Features};

use crate::error::GpuError;

/// A cooperative matrix product that the device computes: C (m x n) += A (m x k) B (k x n).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CoopMatrix {
    /// Rows of A and C.
    pub m: u32,
    /// Columns of B and C.
    pub n: u32,
    /// Columns of A, rows of B.
    pub k: u32,
    /// Element type of A and B.
    pub ab: &'static str,
    /// Element type of C.
    pub c: &'static str,
}

/// Sizes that a subgroup can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SubgroupSizes {
    /// Smallest.
    pub min: u32,
    /// Largest.
    pub max: u32,
}

/// What a device can do beyond the minimum that every device must meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// 16-bit floats in shaders.
    pub f16: bool,
    /// Subgroup operations.
    pub subgroup: Option<SubgroupSizes>,
    /// Cooperative matrix products.
    pub coop_matrix: Vec<CoopMatrix>,
    /// Bytes of immediates; 0: params go through a uniform buffer.
    pub immediate_bytes: u32,
    /// Timestamps between dispatches, between passes only, or none.
    pub timestamps: Timestamps,
    /// Compiled pipelines can be kept on disk.
    pub pipeline_cache: bool,
    /// Largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Most bytes that one binding of a kernel can see.
    pub max_binding_bytes: u64,
    /// Storage buffers of a kernel.
    pub max_storage_buffers: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Invocations in a workgroup.
    pub invocations: u32,
    /// Alignment of offsets into storage buffers.
    pub storage_alignment: u32,
    /// Alignment of offsets into uniform buffers.
    pub uniform_alignment: u32,
}

/// Where a device can take the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timestamps {
    /// Nowhere.
    None,
    /// At the ends of a pass.
    Passes,
    /// Between dispatches.
    Dispatches,
}

/// Features that are switched on where the device has them.
pub(crate) const WANTED: Features = Features::SHADER_F16
    .union(Features::SUBGROUP)
    .union(Features::SUBGROUP_BARRIER)
    .union(Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
    .union(Features::IMMEDIATES)
    .union(Features::TIMESTAMP_QUERY)
    .union(Features::TIMESTAMP_QUERY_INSIDE_PASSES)
    .union(Features::PIPELINE_CACHE);

/// A limit, the value needed, and where a device's value is found.
type Needed = (&'static str, u64, fn(&wgpu::Limits) -> u64);

/// What every device must offer.
const MINIMUM: [Needed; 8] = [
    ("max_storage_buffers_per_shader_stage", 8, |l| l.max_storage_buffers_per_shader_stage.into()),
    ("max_bind_groups", 2, |l| l.max_bind_groups.into()),
    ("max_compute_invocations_per_workgroup", 256, |l| l.max_compute_invocations_per_workgroup.into()),
    ("max_compute_workgroup_size_x", 256, |l| l.max_compute_workgroup_size_x.into()),
    ("max_compute_workgroup_storage_size", 16 << 10, |l| l.max_compute_workgroup_storage_size.into()),
    ("max_compute_workgroups_per_dimension", 65535, |l| l.max_compute_workgroups_per_dimension.into()),
    ("max_storage_buffer_binding_size", 128 << 20, |l| l.max_storage_buffer_binding_size),
    ("max_buffer_size", 128 << 20, |l| l.max_buffer_size),
];

/// Refuses a device whose limits are below what every kernel counts on.
pub(crate) fn check_minimum(device: &str, limits: &wgpu::Limits) -> Result<(), GpuError> {
    for (limit, needed, value) in MINIMUM {
        let found = value(limits);
        if found < needed {
            return Err(GpuError::Limit { device: device.to_owned(), limit, found, needed });
        }
    }
    Ok(())
}

impl Capabilities {
    /// Reads what `adapter` offers.
    pub(crate) fn of(adapter: &wgpu::Adapter) -> Self {
        let (features, limits, info) = (adapter.features(), adapter.limits(), adapter.get_info());
        let has = |f: Features| features.contains(f);
        let coop = has(Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
        let timestamps = match (has(Features::TIMESTAMP_QUERY), has(Features::TIMESTAMP_QUERY_INSIDE_PASSES)) {
            (true, true) => Timestamps::Dispatches,
            (true, false) => Timestamps::Passes,
            _ => Timestamps::None,
        };
        Self {
            f16: has(Features::SHADER_F16),
            subgroup: has(Features::SUBGROUP | Features::SUBGROUP_BARRIER)
                .then_some(SubgroupSizes { min: info.subgroup_min_size, max: info.subgroup_max_size }),
            coop_matrix: if coop { coop_matrices(adapter) } else { Vec::new() },
            immediate_bytes: if has(Features::IMMEDIATES) { limits.max_immediate_size } else { 0 },
            timestamps,
            pipeline_cache: has(Features::PIPELINE_CACHE),
            // Whole vectors of four words, whatever the limit is.
            max_buffer_bytes: limits.max_buffer_size & !15,
            max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) & !15,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            invocations: limits.max_compute_invocations_per_workgroup,
            storage_alignment: limits.min_storage_buffer_offset_alignment,
            uniform_alignment: limits.min_uniform_buffer_offset_alignment,
        }
    }

    /// What `variant` needs and the device lacks, if anything.
    pub fn unmet(&self, variant: &Variant) -> Option<String> {
        for feature in variant.features {
            if let Some(unmet) = self.unmet_feature(*feature, variant.subgroup_min_size) {
                return Some(unmet);
            }
        }
        let invocations = variant.workgroup_size.iter().product();
        let buffers = u32::try_from(variant.bindings.len()).unwrap_or(u32::MAX);
        for (limit, needed, found) in [
            ("max_compute_workgroup_storage_size", variant.workgroup_bytes, self.workgroup_bytes),
            ("max_compute_invocations_per_workgroup", invocations, self.invocations),
            ("max_storage_buffers_per_shader_stage", buffers, self.max_storage_buffers),
        ] {
            if found < needed {
                return Some(format!("{limit} is {found}, at least {needed} is needed"));
            }
        }
        None
    }

    fn unmet_feature(&self, feature: Feature, subgroup_min_size: u32) -> Option<String> {
        let coop = |size: u32| {
            let found = self.coop_matrix.iter().any(|c| (c.m, c.n, c.k, c.ab) == (size, size, size, "f16"));
            (!found).then(|| format!("it has no {size}x{size}x{size} cooperative matrices of f16"))
        };
        match feature {
            Feature::F16 => (!self.f16).then(|| "it has no f16 in shaders".to_owned()),
            Feature::CoopMatrix8 => coop(8),
            Feature::CoopMatrix16 => coop(16),
            Feature::Subgroup => match self.subgroup {
                None => Some("it has no subgroup operations".to_owned()),
                Some(s) if s.min < subgroup_min_size => {
                    Some(format!("its subgroups can be of {}, at least {subgroup_min_size} is needed", s.min))
                }
                Some(_) => None,
            },
        }
    }
}

fn coop_matrices(adapter: &wgpu::Adapter) -> Vec<CoopMatrix> {
    let name = |t| match t {
        CooperativeScalarType::F32 => "f32",
        CooperativeScalarType::F16 => "f16",
        CooperativeScalarType::I32 => "i32",
        CooperativeScalarType::U32 => "u32",
    };
    let configs = adapter.cooperative_matrix_properties();
    configs
        .iter()
        .map(|p| CoopMatrix { m: p.m_size, n: p.n_size, k: p.k_size, ab: name(p.ab_type), c: name(p.cr_type) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_is_refused_with_its_name_and_values() {
        let limits = wgpu::Limits { max_storage_buffer_binding_size: 64 << 20, ..wgpu::Limits::default() };
        let message = check_minimum("Small GPU", &limits).unwrap_err().to_string();
        assert_eq!(
            message,
            "Small GPU: max_storage_buffer_binding_size is 67108864, at least 134217728 is needed: choose another \
             device, or --device cpu"
        );
        check_minimum("GPU", &wgpu::Limits::default()).unwrap();
    }

    #[test]
    fn missing_features_of_a_variant_are_named() {
        let limits = wgpu::Limits::default();
        let mut caps = Capabilities {
            f16: false,
            subgroup: None,
            coop_matrix: Vec::new(),
            immediate_bytes: 0,
            timestamps: Timestamps::None,
            pipeline_cache: false,
            max_buffer_bytes: 0,
            max_binding_bytes: 0,
            max_storage_buffers: 8,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            invocations: 256,
            storage_alignment: 256,
            uniform_alignment: 256,
        };
        let lanes = turbo_wgsl::kv::rotate::N128_SUBGROUP;
        assert_eq!(caps.unmet(turbo_wgsl::kv::rotate::N128), None);
        assert_eq!(caps.unmet(lanes).as_deref(), Some("it has no subgroup operations"));
        caps.subgroup = Some(SubgroupSizes { min: 8, max: 32 });
        assert_eq!(caps.unmet(lanes).as_deref(), Some("its subgroups can be of 8, at least 32 is needed"));
        caps.subgroup = Some(SubgroupSizes { min: 32, max: 32 });
        assert_eq!(caps.unmet(lanes), None);
        let unmet = |feature| caps.unmet_feature(feature, 0);
        assert_eq!(unmet(Feature::F16).as_deref(), Some("it has no f16 in shaders"));
        let coop = "it has no 16x16x16 cooperative matrices of f16";
        assert_eq!(unmet(Feature::CoopMatrix16).as_deref(), Some(coop));
    }
}
