//! Activations as integers: `wgsl/kernels/ops/quantise.wgsl`.

use turbo_backend::plan::Activation;
use turbo_wgsl::ops::{gated_codes, norm_codes, quantise};
use turbo_wgsl::params::{GatedCodesParams, NormCodesParams, QuantiseParams};
use turbo_wgsl::{Kernel, Variant};

use crate::buffer::{Bind, Buffer};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};
use crate::weights::UNIT;

/// Room for the integer codes of some tokens' activations, input of products with quantised weights.
#[derive(Debug)]
pub struct Codes {
    pub(super) codes: Buffer<u32>,
    pub(super) heads: Buffer<[f32; 4]>,
    /// Values that there is room for.
    room: usize,
    /// Whether lanes of a subgroup may share a unit.
    subgroups: bool,
}

/// Where a kernel that makes activations stores them as codes.
#[derive(Clone, Copy, Debug)]
pub struct CodesPart<'a> {
    pub(crate) codes: Bind<'a>,
    pub(crate) heads: Bind<'a>,
    /// Vectors before the finer plane; 0 if there is none.
    pub(crate) fine_plane: u32,
    /// Values that there is room for.
    pub(crate) room: usize,
}

impl Codes {
    /// Where other kernels store codes, `wide` ones or not.
    pub fn part(&self, wide: bool) -> CodesPart<'_> {
        let (codes, heads) = (self.codes.bind(), self.heads.bind());
        CodesPart { codes, heads, fine_plane: self.fine_plane(wide), room: self.room }
    }

    /// Room for `values` values, a multiple of 32.
    ///
    /// # Errors
    /// Too little memory.
    pub fn new(gpu: &Gpu, values: usize) -> Result<Self, GpuError> {
        let units = values.div_ceil(UNIT);
        // Two planes of i8.
        let codes = gpu.buffer("activation codes", units * UNIT / 2)?;
        Ok(Self { codes, heads: gpu.buffer("activation scales", units)?, room: units * UNIT, subgroups: true })
    }

    /// The same made by kernels without subgroups, whatever the device can do.
    #[must_use]
    pub fn without_subgroups(self) -> Self {
        Self { subgroups: false, ..self }
    }

    /// The variant of a kernel, of those called `name`, that suits `gpu`, and how many invocations it has for a unit.
    fn lanes(&self, gpu: &Gpu, kernel: &'static Kernel, name: &str) -> Result<(&'static Variant, u32), GpuError> {
        let lanes = if name.is_empty() { "subgroup".to_owned() } else { format!("{name},subgroup") };
        let names = [lanes.as_str(), name];
        let variant = gpu.pick(kernel, if self.subgroups { &names } else { &names[1..] })?;
        Ok((variant, if variant.name.ends_with("subgroup") { 8 } else { 1 }))
    }

    /// Vectors before the finer plane of wide codes.
    pub(super) fn fine_plane(&self, wide: bool) -> u32 {
        if wide { (self.room / 16) as u32 } else { 0 }
    }

    /// Whether there is room for `values` values.
    pub(super) fn fits(&self, values: usize) -> bool {
        values <= self.room
    }

    /// Records the rounding of `values` values of `x`, a multiple of 32; `wide` to 16 bits instead of 8.
    ///
    /// # Errors
    /// Sizes that do not fit; a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>, x: Bind<'_>, values: usize, wide: bool) -> Result<(), GpuError> {
        if !values.is_multiple_of(UNIT) || !self.fits(values) || x.bytes < 4 * values as u64 {
            let reason = format!("{values} values of {} bytes into codes of {}", x.bytes, self.room);
            return Err(recorder.gpu().call("ops/quantise", reason));
        }
        let params = QuantiseParams { units: (values / UNIT) as u32, fine_plane: self.fine_plane(wide) };
        let bindings = quantise::Bindings { x, codes: self.codes.bind(), heads: self.heads.bind() };
        match params.units {
            0 => Ok(()),
            units => {
                let (variant, lanes) = self.lanes(recorder.gpu(), &quantise::KERNEL, "")?;
                recorder.dispatch(variant, bindings, &params, Grid::items(units * lanes, 64))
            }
        }
    }

    /// Records the rounding of x / sqrt(mean(x^2) + eps) * weight for `runs` rows of `cols` values.
    ///
    /// # Errors
    /// Sizes that do not fit; a failing device.
    pub fn record_normed(
        &self,
        recorder: &mut Recorder<'_>,
        (x, weight): (Bind<'_>, Bind<'_>),
        (runs, cols): (u32, u32),
        eps: f32,
        wide: bool,
    ) -> Result<(), GpuError> {
        let values = runs as usize * cols as usize;
        let fits = x.bytes >= 4 * values as u64 && weight.bytes >= 4 * u64::from(cols);
        if !(cols as usize).is_multiple_of(UNIT) || !self.fits(values) || !fits {
            let reason = format!("{runs} rows of {cols} values of {} bytes into codes of {}", x.bytes, self.room);
            return Err(recorder.gpu().call("ops/norm_codes", reason));
        }
        if values == 0 {
            return Ok(());
        }
        let params = NormCodesParams { runs, cols, eps, fine_plane: self.fine_plane(wide) };
        let bindings = norm_codes::Bindings { x, weight, codes: self.codes.bind(), heads: self.heads.bind() };
        let (variant, _) = self.lanes(recorder.gpu(), &norm_codes::KERNEL, "")?;
        recorder.dispatch(variant, bindings, &params, Grid::linear(runs))
    }

    /// Records the rounding of activation(gate) * up for `values` values, a multiple of 32.
    ///
    /// # Errors
    /// Sizes that do not fit; a failing device.
    pub fn record_gated(
        &self,
        recorder: &mut Recorder<'_>,
        activation: Activation,
        (gate, up): (Bind<'_>, Bind<'_>),
        values: usize,
        wide: bool,
    ) -> Result<(), GpuError> {
        if !values.is_multiple_of(UNIT) || !self.fits(values) || gate.bytes.min(up.bytes) < 4 * values as u64 {
            let reason = format!("{values} values of {} bytes into codes of {}", gate.bytes, self.room);
            return Err(recorder.gpu().call("ops/gated_codes", reason));
        }
        let params = GatedCodesParams { units: (values / UNIT) as u32, fine_plane: self.fine_plane(wide) };
        let name = match activation {
            Activation::Silu => "silu",
            Activation::GeluTanh => "gelu_tanh",
        };
        let bindings = gated_codes::Bindings { gate, up, codes: self.codes.bind(), heads: self.heads.bind() };
        match params.units {
            0 => Ok(()),
            units => {
                let (variant, lanes) = self.lanes(recorder.gpu(), &gated_codes::KERNEL, name)?;
                recorder.dispatch(variant, bindings, &params, Grid::items(units * lanes, 64))
            }
        }
    }

    /// The values that the first `values` codes stand for, for tests.
    ///
    /// # Errors
    /// A failing device.
    pub fn values(&self, gpu: &Gpu, values: usize, wide: bool) -> Result<Vec<f32>, GpuError> {
        let words = values / 4;
        let first: Vec<u32> = gpu.download(&self.codes, 0..words)?;
        let at = 4 * self.fine_plane(true) as usize;
        let fine: Vec<u32> = if wide { gpu.download(&self.codes, at..at + words)? } else { Vec::new() };
        let heads = gpu.download(&self.heads, 0..values / UNIT)?;
        let code = |words: &[u32], i: usize| i32::from(words[i / 4].to_le_bytes()[i % 4] as i8);
        let whole = |i: usize| if wide { 256 * code(&first, i) + code(&fine, i) } else { code(&first, i) };
        Ok((0..values).map(|i| whole(i) as f32 * heads[i / UNIT][0]).collect())
    }
}
