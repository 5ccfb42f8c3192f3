//! Twin of `wgsl/kernels/attention/attention_combine_f16.wgsl`: class Bounded, so this is the reference in float64.

use super::attention_decode_f16::FloatPart;

/// The output head of the `partials` of all chunks; `logit` is that of the sink.
pub(super) fn combine(partials: &[FloatPart], logit: Option<f32>, out: &mut [f32]) {
    let sink = logit.map(|logit| f64::from(logit) * std::f64::consts::LOG2_E);
    let largest = partials.iter().map(|part| part.largest).chain(sink).fold(f64::NEG_INFINITY, f64::max);
    let mut sums = vec![0.0; out.len()];
    let mut denominator = sink.map_or(0.0, |s| (s - largest).exp2());
    for part in partials {
        let factor = (part.largest - largest).exp2();
        denominator += part.denominator * factor;
        for (sum, v) in sums.iter_mut().zip(&part.sums) {
            *sum += v * factor;
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = if denominator > 0.0 { (sum / denominator) as f32 } else { 0.0 };
    }
}
