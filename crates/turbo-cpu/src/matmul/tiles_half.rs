//! The plain twin of the GPU's products through cooperative matrices: without their rounding to f16, so that a
//! comparison shows it.

use super::WeightRef;

/// `[tokens][rows]`: `w` times every token of `x`, plus a bias; products and sums in f64.
///
/// # Panics
/// When shapes do not belong together.
pub fn tiles_half(w: WeightRef<'_>, x: &[f32], tokens: usize, bias: Option<&[f32]>) -> Vec<f64> {
    let mut out = vec![0.0; tokens * w.rows];
    let mut values = vec![0.0_f32; w.cols];
    for (row, bytes) in w.data.chunks_exact(w.row_bytes()).enumerate() {
        if let Err(error) = turbo_quant::ggml::decode_row(w.ty, bytes, &mut values) {
            // A whole row always decodes.
            unreachable!("{error}");
        }
        for (token, x) in x.chunks_exact(w.cols).enumerate().take(tokens) {
            let sum: f64 = values.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
            out[token * w.rows + row] = sum + bias.map_or(0.0, |bias| f64::from(bias[row]));
        }
    }
    out
}
