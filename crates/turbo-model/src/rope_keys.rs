//! The rotary embedding that a file's metadata and tensors describe, by llama.cpp's keys.

use std::ops::RangeInclusive;

use turbo_backend::plan::RopeStyle;

use crate::ModelError;
use crate::builder::Builder;
use crate::hparams::Hparams;
use crate::keys::Keys;
use crate::rope::{RopeScaling, RopeSpec, Yarn};

const TYPE: &str = "rope.scaling.type";
/// Factors outside would take frequencies out of the range of f32; real ones are from 1 to some hundreds.
const FACTORS: RangeInclusive<f32> = 0.001..=1e6;
const SCALINGS: &str = "none, linear, yarn or longrope";

/// Reads base, dimensions and scaling, all but the per-frequency divisors.
pub(crate) fn read(keys: &Keys<'_>, hparams: &Hparams, style: RopeStyle) -> Result<RopeSpec, ModelError> {
    let head_dim = hparams.head_dim_k;
    let dims = keys.size("rope.dimension_count", 2..=head_dim as u64)?.unwrap_or(head_dim);
    if dims % 2 != 0 {
        let expected = "an even number of values of a head, as they are rotated in pairs";
        return Err(keys.invalid("rope.dimension_count", dims, expected));
    }
    let base = keys.number("rope.freq_base", 10_000.0, |base| base > 1.0, "a number above 1")?;
    let attention = keys.number(
        "rope.scaling.attn_factor",
        1.0,
        |factor| FACTORS.contains(&factor),
        "a number from 0.001 to 1000000",
    )?;
    Ok(RopeSpec {
        style,
        dims,
        base: f64::from(base),
        scaling: scaling(keys, hparams)?,
        attention_factor: f64::from(attention),
        divisors: Vec::new(),
    })
}

/// Divisors of the frequencies, from tensors: llama 3's, or LongRoPE's for a context of `tokens`.
pub(crate) fn divisors(
    keys: &Keys<'_>,
    hparams: &Hparams,
    builder: &mut Builder<'_>,
    dims: usize,
    tokens: usize,
) -> Result<Vec<f32>, ModelError> {
    if kind(keys)? != "longrope" {
        return Ok(builder.divisors("rope_freqs.weight", dims / 2)?.unwrap_or_default());
    }
    let long = builder.divisors("rope_factors_long.weight", dims / 2)?;
    let short = builder.divisors("rope_factors_short.weight", dims / 2)?;
    let (chosen, tensor) = if tokens > original_context(keys, hparams)? {
        (long, "rope_factors_long.weight")
    } else {
        (short, "rope_factors_short.weight")
    };
    chosen.ok_or_else(|| ModelError::MissingTensor {
        file: keys.file_name(),
        tensor: tensor.to_owned(),
        expected: vec![dims as u64 / 2],
    })
}

/// A factor without a type means linear scaling, as in files older than the type key.
fn kind<'a>(keys: &Keys<'a>) -> Result<&'a str, ModelError> {
    Ok(keys.file.metadata().get_str(&keys.key(TYPE))?.unwrap_or("linear"))
}

fn original_context(keys: &Keys<'_>, hparams: &Hparams) -> Result<usize, ModelError> {
    let stated = keys.size("rope.scaling.original_context_length", 1..=u64::from(u32::MAX))?;
    Ok(stated.unwrap_or(hparams.context_length))
}

fn scaling(keys: &Keys<'_>, hparams: &Hparams) -> Result<RopeScaling, ModelError> {
    let factor = f64::from(factor(keys)?);
    match kind(keys)? {
        "none" => Ok(RopeScaling::None),
        "yarn" => yarn(keys, hparams, factor).map(RopeScaling::Yarn),
        "linear" | "longrope" if factor == 1.0 => Ok(RopeScaling::None),
        "linear" | "longrope" => Ok(RopeScaling::Linear { factor }),
        other => Err(keys.invalid(TYPE, format!("{other:?}"), SCALINGS)),
    }
}

/// `rope.scaling.factor`, or its older name; 0 means none.
fn factor(keys: &Keys<'_>) -> Result<f32, ModelError> {
    let valid = |factor: f32| factor == 0.0 || FACTORS.contains(&factor);
    let expected = "a number from 0.001 to 1000000, or 0 for none";
    let read = |suffix| keys.number(suffix, 0.0, valid, expected);
    let new = read("rope.scaling.factor")?;
    let stated = if new == 0.0 { read("rope.scale_linear")? } else { new };
    Ok(if stated == 0.0 { 1.0 } else { stated })
}

fn yarn(keys: &Keys<'_>, hparams: &Hparams, factor: f64) -> Result<Yarn, ModelError> {
    let above_0 = |suffix, default| keys.number(suffix, default, |v| v > 0.0, "a number above 0");
    // A negative share is how llama.cpp says "not set".
    let share = keys.number("rope.scaling.yarn_ext_factor", -1.0, |v| v <= 1.0, "at most 1")?;
    let log_multiplier = keys.number("rope.scaling.yarn_log_multiplier", 0.0, |v| v >= 0.0, "a number from 0")?;
    Ok(Yarn {
        factor,
        original_context: original_context(keys, hparams)? as f64,
        beta_fast: f64::from(above_0("rope.scaling.yarn_beta_fast", 32.0)?),
        beta_slow: f64::from(above_0("rope.scaling.yarn_beta_slow", 1.0)?),
        extrapolation: if share < 0.0 { 1.0 } else { f64::from(share) },
        log_multiplier: f64::from(log_multiplier),
    })
}
