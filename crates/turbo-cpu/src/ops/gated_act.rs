//! Gated activations.

use turbo_backend::plan::Activation;

use super::exp::{exp, tanh};
use super::simd::with_avx2;

with_avx2! {
    /// gate = activation(gate) * up, element by element.
    gated(activation: Activation, gate: &mut [f32], up: &[f32]) {
        match activation {
            Activation::Silu => gate.iter_mut().zip(up).for_each(|(g, &u)| *g = silu(*g) * u),
            Activation::GeluTanh => gate.iter_mut().zip(up).for_each(|(g, &u)| *g = gelu_tanh(*g) * u),
        }
    }
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * x * (1.0 + 0.044_715 * x * x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_match_double_precision() {
        for i in -400..=400 {
            let x = i as f32 / 20.0;
            let d = f64::from(x);
            let mut gate = [x];
            gated(Activation::Silu, &mut gate, &[2.0]);
            assert!((f64::from(gate[0]) - 2.0 * d / (1.0 + (-d).exp())).abs() < 1e-5, "silu({x})");
            let mut gate = [x];
            gated(Activation::GeluTanh, &mut gate, &[1.0]);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (d + 0.044715 * d.powi(3));
            assert!((f64::from(gate[0]) - 0.5 * d * (1.0 + inner.tanh())).abs() < 1e-5, "gelu({x})");
        }
    }
}
