//! Activations rounded to f16, as products through cooperative matrices take them.

use half::f16;

/// Rows below this become zeros.
const SMALLEST: f32 = 1e-30;

/// Halves and scales of rows of `cols` values: x is about half * scale, the scale being the power of two that brings the
/// largest value of the row into [2^14, 2^15). A row with a value that is not finite becomes zeros with the scale nan.
///
/// # Panics
/// When `cols` is 0.
pub fn halves(x: &[f32], cols: usize) -> (Vec<f16>, Vec<f32>) {
    let mut values = Vec::with_capacity(x.len());
    let mut scales = Vec::with_capacity(x.len() / cols);
    for row in x.chunks_exact(cols) {
        let finite = row.iter().all(|x| x.is_finite());
        let largest = row.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
        let kept = finite && largest >= SMALLEST;
        let exponent = if kept { largest.to_bits() >> 23 } else { 127 + 14 };
        let factor = f32::from_bits((2 * 127 + 14 - exponent) << 23);
        values.extend(row.iter().map(|x| if kept { f16::from_f32(x * factor) } else { f16::ZERO }));
        scales.push(if finite { 1.0 / factor } else { f32::NAN });
    }
    (values, scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_overflows_and_none_that_matters_is_lost() {
        let x = [f32::MAX, -1e38, 1.0, 0.0, 3.0, -65520.0, 1e6, 1e-3, 1e-31, 0.0, 0.0, 0.0, 1.0, f32::NAN, 2.0, 0.0];
        let (values, scales) = halves(&x, 4);
        for (row, scale) in scales.iter().enumerate().take(2) {
            for i in 4 * row..4 * row + 4 {
                let largest = x[4 * row..4 * row + 4].iter().fold(0.0_f32, |a, x| a.max(x.abs()));
                // The largest f32 rounds up to 2^128, which is none.
                let (got, want) = (f64::from(values[i].to_f32()) * f64::from(*scale), f64::from(x[i]));
                assert!((got - want).abs() <= want.abs() / 2048.0 + f64::from(largest) * 1e-9, "{got} for {want}");
            }
        }
        assert_eq!(values[8..16], [f16::ZERO; 8]);
        assert!(scales[2] == 1.0 && scales[3].is_nan());
    }
}
