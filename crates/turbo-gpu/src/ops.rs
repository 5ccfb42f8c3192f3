//! Norms, rotary embedding, activations: `wgsl/kernels/ops`.

use turbo_backend::plan::{Activation, RopeStyle};
use turbo_wgsl::params::{
    AddScaledParams, EmbedFloatParams, EmbedParams, GatedActParams, NormRopeParams, RmsNormParams, RopeParams,
    ScaleParams, SelectRowsParams, SoftCapParams,
};
use turbo_wgsl::{Variant, ops};

use crate::buffer::Bind;
use crate::error::GpuError;
use crate::recorder::{Grid, Recorder};
use crate::weights::Matrix;

/// Invocations of a workgroup of the simple kernels.
const WORKGROUP: u32 = 64;

/// Refuses buffers that are too small: pairs of a name with a buffer, and the values it must hold.
fn check(recorder: &Recorder<'_>, kernel: &str, needed: &[(&str, Bind<'_>, u64)]) -> Result<(), GpuError> {
    for (name, bind, values) in needed {
        if bind.bytes < 4 * values || *values > u64::from(u32::MAX) {
            let reason = format!("{name} has {} bytes, {values} values are needed", bind.bytes);
            return Err(recorder.gpu().call(kernel, reason));
        }
    }
    Ok(())
}

/// `out` = x / sqrt(mean(x^2) + eps) * weight over each of `runs` runs of `cols` values.
///
/// # Errors
/// Buffers that are too small; a failing device.
pub fn rms_norm(
    recorder: &mut Recorder<'_>,
    [x, weight, out]: [Bind<'_>; 3],
    (runs, cols): (u32, u32),
    eps: f32,
) -> Result<(), GpuError> {
    let values = u64::from(runs) * u64::from(cols);
    check(recorder, "ops/rms_norm", &[("x", x, values), ("weight", weight, cols.into()), ("out", out, values)])?;
    if values == 0 {
        return Ok(());
    }
    let (variant, lanes) = if cols <= 512 { (ops::rms_norm::LANES32, 32) } else { (ops::rms_norm::LANES256, 256) };
    let bindings = ops::rms_norm::Bindings { x, weight, out };
    recorder.dispatch(variant, bindings, &RmsNormParams { runs, cols, eps }, Grid::linear(runs.div_ceil(256 / lanes)))
}

/// `x` = x / sqrt(mean(x^2) + eps) * weight over each of `runs` runs of `cols` values, in place.
///
/// # Errors
/// Buffers that are too small; a failing device.
pub fn rms_norm_in_place(
    recorder: &mut Recorder<'_>,
    x: Bind<'_>,
    weight: Bind<'_>,
    (runs, cols): (u32, u32),
    eps: f32,
) -> Result<(), GpuError> {
    let values = u64::from(runs) * u64::from(cols);
    check(recorder, "ops/rms_norm_in_place", &[("x", x, values), ("weight", weight, cols.into())])?;
    if values == 0 {
        return Ok(());
    }
    let (variant, lanes) =
        if cols <= 512 { (ops::rms_norm_in_place::LANES32, 32) } else { (ops::rms_norm_in_place::LANES256, 256) };
    let (bindings, grid) = (ops::rms_norm_in_place::Bindings { weight, x }, Grid::linear(runs.div_ceil(256 / lanes)));
    recorder.dispatch(variant, bindings, &RmsNormParams { runs, cols, eps }, grid)
}

/// Heads that are normed before they are rotated.
#[derive(Clone, Copy, Debug)]
pub struct HeadNorm<'a> {
    /// A factor for every value of a head.
    pub weight: Bind<'a>,
    /// Added to the mean square.
    pub eps: f32,
}

/// Which heads are rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rope {
    /// Number of tokens.
    pub tokens: u32,
    /// Heads of a token.
    pub heads: u32,
    /// Values of a head.
    pub head_dim: u32,
    /// Pairs of a head that are rotated.
    pub pairs: u32,
    /// Which values are pairs.
    pub style: RopeStyle,
}

impl Rope {
    /// Norms the heads of `x`, then rotates them, in place.
    ///
    /// # Errors
    /// As [`Rope::record`].
    pub fn record_normed(
        &self,
        recorder: &mut Recorder<'_>,
        factors: Bind<'_>,
        norm: &HeadNorm<'_>,
        x: Bind<'_>,
    ) -> Result<(), GpuError> {
        let variant = recorder.gpu().pick(&ops::norm_rope::KERNEL, &["subgroup", ""])?;
        self.record_normed_with(recorder, factors, norm, x, variant)
    }

    /// Like [`Rope::record_normed`], with this variant.
    ///
    /// # Errors
    /// As [`Rope::record`].
    pub fn record_normed_with(
        &self,
        recorder: &mut Recorder<'_>,
        factors: Bind<'_>,
        norm: &HeadNorm<'_>,
        x: Bind<'_>,
        variant: &'static Variant,
    ) -> Result<(), GpuError> {
        let Self { tokens, heads, head_dim, pairs, style } = *self;
        let values = u64::from(tokens) * u64::from(heads * head_dim);
        let angles = 2 * u64::from(tokens) * u64::from(pairs);
        let needed = [("x", x, values), ("factors", factors, angles), ("weight", norm.weight, head_dim.into())];
        check(recorder, "ops/norm_rope", &needed)?;
        if 2 * pairs > head_dim {
            return Err(recorder.gpu().call("ops/norm_rope", format!("{pairs} pairs in a head of {head_dim} values")));
        }
        if values == 0 {
            return Ok(());
        }
        let params = NormRopeParams {
            runs: tokens * heads,
            cols: head_dim,
            eps: norm.eps,
            heads,
            pairs,
            neox: (style == RopeStyle::Neox).into(),
        };
        let bindings = ops::norm_rope::Bindings { factors, weight: norm.weight, x };
        recorder.dispatch(variant, bindings, &params, Grid::linear(params.runs.div_ceil(8)))
    }

    /// Rotates the heads of `x` in place; `factors` holds, per token, `pairs` cosines and as many sines.
    ///
    /// # Errors
    /// Buffers that are too small; a failing device.
    pub fn record(&self, recorder: &mut Recorder<'_>, factors: Bind<'_>, x: Bind<'_>) -> Result<(), GpuError> {
        let Self { tokens, heads, head_dim, pairs, style } = *self;
        let row = heads * head_dim;
        let values = u64::from(tokens) * u64::from(row);
        let angles = 2 * u64::from(tokens) * u64::from(pairs);
        check(recorder, "ops/rope", &[("x", x, values), ("factors", factors, angles)])?;
        if 2 * pairs > head_dim {
            return Err(recorder.gpu().call("ops/rope", format!("{pairs} pairs in a head of {head_dim} values")));
        }
        if values == 0 || pairs == 0 {
            return Ok(());
        }
        let params = RopeParams { tokens, heads, head_dim, pairs, row, neox: (style == RopeStyle::Neox).into() };
        let bindings = ops::rope::Bindings { factors, x };
        recorder.dispatch(ops::rope::PLAIN, bindings, &params, Grid::items(tokens * heads * pairs, WORKGROUP))
    }
}

/// `gate` = activation(gate) * up for `values` values.
///
/// # Errors
/// Buffers that are too small; a failing device.
pub fn gated_act(
    recorder: &mut Recorder<'_>,
    activation: Activation,
    gate: Bind<'_>,
    up: Bind<'_>,
    values: u32,
) -> Result<(), GpuError> {
    check(recorder, "ops/gated_act", &[("gate", gate, values.into()), ("up", up, values.into())])?;
    let variant = match activation {
        Activation::Silu => ops::gated_act::SILU,
        Activation::GeluTanh => ops::gated_act::GELU_TANH,
    };
    if values == 0 {
        return Ok(());
    }
    let bindings = ops::gated_act::Bindings { up, gate };
    recorder.dispatch(variant, bindings, &GatedActParams { values }, Grid::items(values, WORKGROUP))
}

/// `x` = cap * tanh(x / cap) for `values` values.
///
/// # Errors
/// A buffer that is too small; a failing device.
pub fn soft_cap(recorder: &mut Recorder<'_>, x: Bind<'_>, values: u32, cap: f32) -> Result<(), GpuError> {
    check(recorder, "ops/soft_cap", &[("x", x, values.into())])?;
    if values == 0 {
        return Ok(());
    }
    let bindings = ops::soft_cap::Bindings { x };
    recorder.dispatch(ops::soft_cap::PLAIN, bindings, &SoftCapParams { values, cap }, Grid::items(values, WORKGROUP))
}

/// `x` *= factor for `values` values.
///
/// # Errors
/// A buffer that is too small; a failing device.
pub fn scale(recorder: &mut Recorder<'_>, x: Bind<'_>, factor: f32, values: u32) -> Result<(), GpuError> {
    check(recorder, "ops/scale", &[("x", x, values.into())])?;
    if values == 0 {
        return Ok(());
    }
    let bindings = ops::scale::Bindings { x };
    recorder.dispatch(ops::scale::PLAIN, bindings, &ScaleParams { values, factor }, Grid::items(values, WORKGROUP))
}

/// `x` = x * own + y * other for `values` values.
///
/// # Errors
/// Buffers that are too small; a failing device.
pub fn add_scaled(
    recorder: &mut Recorder<'_>,
    (x, own): (Bind<'_>, f32),
    (y, other): (Bind<'_>, f32),
    values: u32,
) -> Result<(), GpuError> {
    check(recorder, "ops/add_scaled", &[("x", x, values.into()), ("y", y, values.into())])?;
    if values == 0 {
        return Ok(());
    }
    let params = AddScaledParams { values, own, other };
    let bindings = ops::add_scaled::Bindings { y, x };
    recorder.dispatch(ops::add_scaled::PLAIN, bindings, &params, Grid::items(values, WORKGROUP))
}

/// Copies `count` rows of `cols` values of `x`, named by `rows`, to the start of `out`.
///
/// # Errors
/// Buffers that are too small; a failing device.
pub fn select_rows(
    recorder: &mut Recorder<'_>,
    [rows, x, out]: [Bind<'_>; 3],
    (count, cols): (u32, u32),
) -> Result<(), GpuError> {
    let values = u64::from(count) * u64::from(cols);
    check(recorder, "ops/select_rows", &[("rows", rows, count.into()), ("x", x, cols.into()), ("out", out, values)])?;
    if values == 0 {
        return Ok(());
    }
    let params = SelectRowsParams { rows: count, cols, ..SelectRowsParams::default() };
    let bindings = ops::select_rows::Bindings { rows, x, out };
    recorder.dispatch(ops::select_rows::PLAIN, bindings, &params, Grid::items(values as u32, WORKGROUP))
}

/// Rows of `table` named by `tokens`, times `scale`, to `out`. Tokens with the highest bit set are places in `chosen`.
///
/// # Errors
/// Buffers that are too small; a type without a kernel; a failing device.
pub fn embed(
    recorder: &mut Recorder<'_>,
    table: &Matrix,
    (tokens, count): (Bind<'_>, u32),
    chosen: Bind<'_>,
    scale: f32,
    out: Bind<'_>,
) -> Result<(), GpuError> {
    let cols = table.cols() as u32;
    let values = u64::from(count) * u64::from(cols);
    check(recorder, "ops/embed", &[("tokens", tokens, count.into()), ("out", out, values)])?;
    let (row, name) = (table.row(), table.ty().name());
    for part in table.parts() {
        let (weights, first_row, rows, row_words) = (part.bind, part.first_row, part.rows, row.words as u32);
        if values == 0 || rows == 0 {
            continue;
        }
        if table.is_quantised() {
            let variant = recorder.gpu().pick(&ops::embed::KERNEL, &[name])?;
            let params = EmbedParams {
                row_words,
                high_plane: row.high_plane as u32,
                scales: row.scales as u32,
                units: row.units as u32,
                tokens: count,
                first_row,
                rows,
                scale,
            };
            let grid = Grid::items(count * params.units, WORKGROUP);
            recorder.dispatch(variant, ops::embed::Bindings { weights, tokens, chosen, out }, &params, grid)?;
        } else {
            let variant = recorder.gpu().pick(&ops::embed_float::KERNEL, &[name])?;
            let params = EmbedFloatParams { row_words, cols, tokens: count, first_row, rows, scale };
            let grid = Grid::items(count * cols / 2, WORKGROUP);
            recorder.dispatch(variant, ops::embed_float::Bindings { weights, tokens, chosen, out }, &params, grid)?;
        }
    }
    Ok(())
}
