//! Root-mean-square norm.

use super::simd::with_avx2;

/// Partial sums that are added in parallel; fixed, so that every machine adds in the same order.
const LANES: usize = 16;

with_avx2! {
    /// Norms every run of `weight.len()` values of `x` in place: x / sqrt(mean(x^2) + eps) * weight.
    rms_norm(x: &mut [f32], weight: &[f32], eps: f32) {
        for run in x.chunks_exact_mut(weight.len()) {
            let factor = factor(run, eps);
            run.iter_mut().zip(weight).for_each(|(x, &w)| *x = *x * factor * w);
        }
    }
}

with_avx2! {
    /// [`rms_norm`] of `x`, written to `out`.
    rms_norm_to(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
        let runs = out.chunks_exact_mut(weight.len()).zip(x.chunks_exact(weight.len()));
        for (out, run) in runs {
            let factor = factor(run, eps);
            out.iter_mut().zip(run).zip(weight).for_each(|((out, &x), &w)| *out = x * factor * w);
        }
    }
}

/// What every value of each run of `cols` values is multiplied with, before its weight.
pub fn factors(x: &[f32], cols: usize, eps: f32) -> Vec<f32> {
    x.chunks_exact(cols).map(|run| factor(run, eps)).collect()
}

/// What every value of a run is multiplied with, before its weight.
#[inline(always)]
fn factor(run: &[f32], eps: f32) -> f32 {
    1.0 / (sum_of_squares(run) / run.len() as f32 + eps).sqrt()
}

#[inline(always)]
fn sum_of_squares(x: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x * x);
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_normed_one_by_one() {
        let mut x: Vec<f32> = (0..74).map(|i| (i as f32 * 0.7).sin() * 3.0).collect();
        let weight: Vec<f32> = (0..37).map(|i| 1.0 + i as f32 / 37.0).collect();
        let before = x.clone();
        let mut out = vec![0.0; 74];
        rms_norm_to(&mut out, &x, &weight, 1e-6);
        rms_norm(&mut x, &weight, 1e-6);
        assert_eq!(x, out);
        for run in 0..2 {
            let old = &before[run * 37..][..37];
            let mean = old.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 37.0;
            for i in 0..37 {
                let want = f64::from(old[i]) / (mean + 1e-6).sqrt() * f64::from(weight[i]);
                assert!((f64::from(x[run * 37 + i]) - want).abs() < 1e-5, "value {i} of run {run}");
            }
        }
    }
}
