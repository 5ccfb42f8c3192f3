//! Which kernel and which tiles suit a product; the figures behind it are in docs/perf/gpu.md.

use turbo_gguf::GgmlType;
use turbo_wgsl::{Feature, Variant, matmul};

use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::weights::Matrix;

/// Tokens and rows of a workgroup of the kernels without cooperative matrices, and with those of Metal.
const TILE: (u32, u32) = (64, 64);

/// Tokens and rows of a workgroup of `variant`.
pub(super) fn tile_of(variant: &Variant) -> (u32, u32) {
    match variant.name.split_once(",coop").map(|(_, tile)| tile) {
        Some("16") => (128, 128),
        Some("16,t64") => (64, 128),
        _ => TILE,
    }
}

/// Fewest workgroups that keep a large GPU busy: with fewer, smaller tiles are faster.
const ENOUGH_WORKGROUPS: u32 = 128;

/// The best tiles of cooperative matrices that `gpu` has for `rows` rows and `tokens` tokens, if it has any.
///
/// # Errors
/// It has none: the message says what is missing.
pub fn half_variant(gpu: &Gpu, ty: GgmlType, (rows, tokens): (u32, u32)) -> Result<&'static Variant, GpuError> {
    let name = ty.name();
    let enough = tokens.div_ceil(128) * rows.div_ceil(128) >= ENOUGH_WORKGROUPS && tokens > 64;
    let sixteen = if enough { format!("{name},coop16") } else { format!("{name},coop16,t64") };
    let variant = gpu.pick(&matmul::tiles_half::KERNEL, &[&sixteen, &format!("{name},coop8")])?;
    // Every subgroup has a place in the tile, so their number must be what the kernel counts on. Metal's are all of 32,
    // although wgpu does not know it.
    let sizes = gpu.capabilities().subgroup.map(|sizes| (sizes.min, sizes.max));
    if variant.features.contains(&Feature::CoopMatrix16) && sizes != Some((32, 32)) {
        let (min, max) = sizes.unwrap_or_default();
        let unmet = format!("its subgroups can be of {min} to {max}, of 32 always is needed");
        return Err(GpuError::Unsupported { device: gpu.name().to_owned(), kernel: variant.label.to_owned(), unmet });
    }
    Ok(variant)
}

/// Whether products of many tokens go through cooperative matrices on `gpu`.
pub fn has_half_tiles(gpu: &Gpu) -> bool {
    half_variant(gpu, GgmlType::F16, (1, 1)).is_ok()
}

/// Most tokens for which products by [`super::MatVec`] are faster than by [`super::Tiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FewTokens {
    /// With quantised matrices.
    pub codes: u32,
    /// With float matrices.
    pub floats: u32,
}

impl FewTokens {
    /// As measured with cooperative matrices, without, and on a processor.
    pub fn of(gpu: &Gpu) -> Self {
        match (has_half_tiles(gpu), gpu.description().kind) {
            (true, _) => Self { codes: 24, floats: 8 },
            (false, "software") => Self { codes: 24, floats: 24 },
            (false, _) => Self { codes: 80, floats: 40 },
        }
    }

    /// For `matrix`.
    pub fn for_matrix(self, matrix: &Matrix) -> u32 {
        if matrix.is_quantised() { self.codes } else { self.floats }
    }
}
