//! Norms, rotary embedding, activations.

use turbo_gpu::matmul::Codes;
use turbo_gpu::{Gpu, GpuError};
use turbo_wgsl::Variant;

pub(crate) mod add_scaled;
pub(crate) mod embed;
pub(crate) mod embed_float;
pub(crate) mod gated_act;
pub(crate) mod gated_codes;
pub(crate) mod norm_codes;
pub(crate) mod norm_rope;
pub(crate) mod quantise;
pub(crate) mod rms_norm;
pub(crate) mod rms_norm_in_place;
pub(crate) mod rope;
pub(crate) mod scale;
pub(crate) mod select_rows;
pub(crate) mod soft_cap;

/// Room for `values` codes, made with subgroups if `variant` does it with them.
fn codes_of(gpu: &Gpu, variant: &Variant, values: usize) -> Result<Codes, GpuError> {
    let codes = Codes::new(gpu, values)?;
    Ok(if variant.name.ends_with("subgroup") { codes } else { codes.without_subgroups() })
}
