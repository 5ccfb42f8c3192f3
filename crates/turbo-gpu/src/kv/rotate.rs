//! Rotating heads: `wgsl/kernels/kv/rotate.wgsl`.

use turbo_quant::rotation_groups;
use turbo_wgsl::kv::rotate::{Bindings, KERNEL};
use turbo_wgsl::params::RotateParams;
use turbo_wgsl::{Feature, Variant};

use crate::buffer::Bind;
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};

/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

/// Which heads are rotated, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// Number of heads.
    pub heads: u32,
    /// Values in a head, a multiple of 16.
    pub head_dim: u32,
    /// Back instead of forward.
    pub inverse: bool,
}

/// The variant that suits `gpu` for rotation groups of `n` values.
///
/// # Errors
/// There is no kernel for groups of `n`.
pub fn variant(gpu: &Gpu, n: usize) -> Result<&'static Variant, GpuError> {
    gpu.pick(&KERNEL, &[&format!("n{n},subgroup"), &format!("n{n}")])
}

impl Rotate {
    /// Records the rotation of `x` (heads x head_dim f32) to `y`, one dispatch for every size of rotation group.
    ///
    /// # Errors
    /// A head size that is no multiple of 16, buffers of another size, a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>, x: Bind<'_>, y: Bind<'_>) -> Result<(), GpuError> {
        self.record_with(recorder, x, y, variant)
    }

    /// Like [`Rotate::record`], with the variant for groups of n that `choose` names.
    ///
    /// # Errors
    /// As [`Rotate::record`].
    pub fn record_with<'b>(
        &self,
        recorder: &mut Recorder<'_>,
        x: Bind<'b>,
        y: Bind<'b>,
        choose: impl Fn(&Gpu, usize) -> Result<&'static Variant, GpuError>,
    ) -> Result<(), GpuError> {
        let gpu = recorder.gpu();
        let values = u64::from(self.heads) * u64::from(self.head_dim);
        if !self.head_dim.is_multiple_of(16)
            || x.bytes < 4 * values
            || y.bytes < 4 * values
            || values > u64::from(u32::MAX)
        {
            let (x, y) = (x.bytes, y.bytes);
            let reason = format!("{self:?} does not fit x of {x} and y of {y} bytes");
            return Err(gpu.call("kv/rotate", reason));
        }
        if values == 0 {
            return Ok(());
        }
        let mut first = 0;
        for (n, count) in counted(self.head_dim as usize) {
            let variant = choose(gpu, n)?;
            let params = RotateParams {
                inverse: self.inverse.into(),
                groups: self.heads * count,
                groups_per_head: count,
                head_stride: self.head_dim / 4,
                first,
                ..RotateParams::default()
            };
            let invocations_per_group = if variant.features.contains(&Feature::Subgroup) { n as u32 / 4 } else { 1 };
            let workgroups = params.groups.div_ceil(WORKGROUP / invocations_per_group);
            recorder.dispatch(variant, Bindings { x, y }, &params, Grid::linear(workgroups))?;
            first += count * n as u32 / 4;
        }
        Ok(())
    }
}

/// Sizes of the rotation groups of a head, each with their number, in order.
fn counted(head_dim: usize) -> Vec<(usize, u32)> {
    let mut counts: Vec<(usize, u32)> = Vec::new();
    for n in rotation_groups(head_dim) {
        match counts.last_mut() {
            Some((size, count)) if *size == n => *count += 1,
            _ => counts.push((n, 1)),
        }
    }
    counts
}
