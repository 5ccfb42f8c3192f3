//! The inner loops of f16 sides, in f32. Bounded: the sums are ordered by lane, so instruction sets may differ in
//! the last bits, but threads, splits and batches never do.

use turbo_backend::BLOCK_TOKENS as TILE;
use turbo_quant::turbo::exact::f32_from_f16;

use super::body::Keys;

/// Rows of f32 are padded with zeros to a multiple of this.
pub(crate) const LANES: usize = 32;

/// A float score within +-1e30. A query so large that inf - inf came out gets the smallest.
#[inline(always)]
pub(super) fn limited(score: f32) -> f32 {
    if score > -1e30 { score.min(1e30) } else { -1e30 }
}

/// f16 words to f32.
#[inline(always)]
pub(super) fn widen(words: &[u32], out: &mut [f32]) {
    for (pair, &word) in out.as_chunks_mut::<2>().0.iter_mut().zip(words) {
        *pair = [f32_from_f16(word as u16), f32_from_f16((word >> 16) as u16)];
    }
}

/// q . k of the keys from `from` up to `to`, times `scale`; `keys` is [key][q.len()].
#[inline(always)]
pub(super) fn dots(q: &[f32], keys: &[f32], scale: f32, from: usize, to: usize) -> Keys<f32> {
    let mut out = [0.0; TILE];
    let rows = keys.chunks_exact(q.len());
    for (out, row) in out.iter_mut().zip(rows).take(to).skip(from) {
        let mut lanes = [0.0; LANES];
        for (q, k) in q.as_chunks::<LANES>().0.iter().zip(row.as_chunks::<LANES>().0) {
            for i in 0..LANES {
                lanes[i] += q[i] * k[i];
            }
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        *out = limited(lanes[0] * scale);
    }
    out
}

/// 2^x for x <= 0, about 1e-7 relative; 0 below -126.
#[inline(always)]
pub(crate) fn exp2(x: f32) -> f32 {
    let kept = x.max(-126.0);
    let floor = kept.floor();
    let f = kept - floor;
    // Least squares fit of the relative error on [0, 1]: 1.6e-7.
    let p = 0.001_876_232_9_f32;
    let p = p * f + 0.008_992_584;
    let p = p * f + 0.055_823_606;
    let p = p * f + 0.240_154_53;
    let p = p * f + 0.693_152_96;
    let p = p * f + 0.999_999_94;
    let power = f32::from_bits(((floor as i32 + 127) << 23) as u32);
    if x < -126.0 { 0.0 } else { p * power }
}

/// Softmax weights of the keys from `from` up to `to` relative to `max`, and their sum.
#[inline(always)]
pub(super) fn probabilities(scores: &Keys<f32>, max: f32, from: usize, to: usize) -> (Keys<f32>, f32) {
    let mut out = [0.0; TILE];
    for t in 0..TILE {
        let p = exp2((scores[t] - max).min(0.0));
        out[t] = if t >= from && t < to { p } else { 0.0 };
    }
    let mut sums = out;
    let mut width = TILE;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            sums[i] += sums[i + width];
        }
    }
    (out, sums[0])
}

/// sums = sums * factor + sum of p * value over the keys from `from` up to `to`; `values` is [key][sums.len()].
#[inline(always)]
pub(super) fn mix(p: &Keys<f32>, values: &[f32], factor: f32, from: usize, to: usize, sums: &mut [f32]) {
    let d = sums.len();
    for (at, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut lanes = sums.map(|s| s * factor);
        for (&p, row) in p[from..to].iter().zip(values[from * d..].chunks(d)) {
            let Some(row) = row[at * LANES..].first_chunk::<LANES>() else { break };
            for i in 0..LANES {
                lanes[i] += p * row[i];
            }
        }
        *sums = lanes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_is_within_2e_minus_7() {
        for k in 0..200_000 {
            let x = -(k as f32) * 6.3e-4;
            let want = f64::from(x).exp2();
            let got = f64::from(exp2(x));
            assert!(x < -126.0 || (got / want - 1.0).abs() < 3e-7, "{x}: {got:e}, want {want:e}");
        }
        assert_eq!(exp2(-1e30), 0.0);
    }
}
