//! Activations as integers: `wgsl/kernels/ops/quantise.wgsl`.

use turbo_backend::plan::Activation;
use turbo_wgsl::ops::{gated_codes, norm_codes, quantise};
use turbo_wgsl::params::{GatedCodesParams, NormCodesParams, QuantiseParams};
use turbo_wgsl::{Kernel, Variant};

use crate::buffer::{Bind, Buffer};
use crate::error::GpuError;
use crate::gpu::Gpu;
use crate::recorder::{Grid, Recorder};
use crate::weights::{Matrix, UNIT};

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

/// Codes as a product takes them.
#[derive(Clone, Copy, Debug)]
pub struct CodesInput<'a> {
    pub(super) codes: &'a Codes,
    pub(super) wide: bool,
    /// What a norm that the codes lack adds to the mean square.
    pub(super) norm: Option<f32>,
}

impl<'a> CodesInput<'a> {
    /// The same where the codes lack their norm ([`Codes::record_normed`]): products make up for it.
    #[must_use]
    pub fn normed(self, eps: f32) -> Self {
        Self { norm: Some(eps), ..self }
    }

    pub(super) fn binds(&self) -> (Bind<'a>, Bind<'a>) {
        (self.codes.codes.bind(), self.codes.heads.bind())
    }

    pub(super) fn fine_plane(&self) -> u32 {
        self.codes.fine_plane(self.wide)
    }

    /// Why a product of `matrix` cannot take them, if so.
    pub(super) fn problem(&self, matrix: &Matrix, tokens: u32) -> Option<String> {
        let fits = self.codes.fits(tokens as usize * matrix.cols()) && matrix.is_quantised();
        (!fits).then(|| {
            format!("codes of another size for {tokens} tokens of {} values of {}", matrix.cols(), matrix.ty())
        })
    }
}

impl Codes {
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

    /// As products take them; `wide` if they were made so.
    pub fn input(&self, wide: bool) -> CodesInput<'_> {
        CodesInput { codes: self, wide, norm: None }
    }

    /// Whether they are the same as `other`.
    pub(super) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
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

    /// Records the rounding of x * weight for `runs` rows of `cols` values, and the sums of the squares of x: all but the
    /// factor of x / sqrt(mean(x^2) + eps) * weight, which products find ([`CodesInput::normed`]).
    ///
    /// # Errors
    /// Sizes that do not fit; a failing device.
    pub fn record_normed(
        &self,
        recorder: &mut Recorder<'_>,
        (x, weight): (Bind<'_>, Bind<'_>),
        (runs, cols): (u32, u32),
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
        let units = (values / UNIT) as u32;
        let params = NormCodesParams { units, vectors: cols / 4, fine_plane: self.fine_plane(wide) };
        let bindings = norm_codes::Bindings { x, weight, codes: self.codes.bind(), heads: self.heads.bind() };
        let (variant, lanes) = self.lanes(recorder.gpu(), &norm_codes::KERNEL, "")?;
        recorder.dispatch(variant, bindings, &params, Grid::items(units * lanes, 64))
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

    /// The sums of squares behind the first `values` codes, for tests.
    ///
    /// # Errors
    /// A failing device.
    pub fn squares(&self, gpu: &Gpu, values: usize) -> Result<Vec<f32>, GpuError> {
        Ok(gpu.download(&self.heads, 0..values / UNIT)?.iter().map(|head| head[3]).collect())
    }
}
