//! Scale and sliding window of attention, by llama.cpp's keys.

use crate::ModelError;
use crate::hparams::Hparams;
use crate::keys::Keys;

/// Factor on q . k: the stated one, else 1/sqrt(head size).
pub(crate) fn scale(keys: &Keys<'_>, head_dim: usize) -> Result<f32, ModelError> {
    let expected = "a number above 0, or 0 for 1/sqrt(head size)";
    let stated = keys.number("attention.scale", 0.0, |scale| scale >= 0.0, expected)?;
    Ok(if stated == 0.0 { (1.0 / (head_dim as f64).sqrt()) as f32 } else { stated })
}

/// The sliding window that acts in every layer, if any.
pub(crate) fn window(keys: &Keys<'_>, hparams: &Hparams, everywhere: bool) -> Result<Option<usize>, ModelError> {
    let suffix = "attention.sliding_window";
    match keys.size(suffix, 0..=u64::from(u32::MAX))? {
        None | Some(0) => Ok(None),
        Some(window) if everywhere => Ok(Some(window)),
        Some(window) if window >= hparams.context_length => Ok(None),
        Some(window) => Err(ModelError::UnsupportedKey {
            file: keys.file_name(),
            key: keys.key(suffix),
            found: window.to_string(),
            needs: "which layers it is for is not stated, and sliding windows are not supported \
                    for this architecture",
        }),
    }
}
