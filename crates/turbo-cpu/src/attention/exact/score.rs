//! From integer dot products to Q16 log2 scores (`docs/exact-attention.md` section 6).

/// Scores of a scale block are clamped to +- this, in units of 2^-16 of log2.
pub const LIMIT: f32 = (1_u32 << 26) as f32;

/// Limit of a whole score: of f16 keys, and of the part of a key bias.
pub const WHOLE: f32 = (1_u32 << 29) as f32;

/// i32 nearest `x`, ties to even; |x| <= 2^29 or NaN (0).
#[inline(always)]
pub fn round(x: f32) -> i32 {
    x.round_ties_even() as i32
}

/// Part of a score that one scale block of K contributes: `idot` is its integer dot product, `scale` its
/// stored scale, `mult` the query's factor for the block.
#[inline(always)]
pub fn block_score(idot: i32, scale: f32, mult: f32) -> i32 {
    let t = idot as f32 * scale;
    round((t * mult).clamp(-LIMIT, LIMIT))
}

/// Q16 score of a float score in log2 units (f16 keys, a Bounded pair); NaN is the lowest.
#[inline(always)]
pub fn from_log2(score: f32) -> i32 {
    limited(score * 65536.0, WHOLE)
}

/// Q16 score of an attention sink given as the model has it, in natural units.
pub fn sink(logit: f32) -> i32 {
    limited(logit * std::f32::consts::LOG2_E * 65536.0, LIMIT)
}

/// i32 nearest `x`, at most `limit` on either side; NaN is the lowest.
#[inline(always)]
pub fn limited(x: f32, limit: f32) -> i32 {
    round(if x > -limit { x.min(limit) } else { -limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_clamped_and_never_nan() {
        assert_eq!(block_score(1 << 27, 65504.0, f32::MAX), 1 << 26);
        assert_eq!(block_score(-(1 << 27), 65504.0, f32::MAX), -(1 << 26));
        assert_eq!(block_score(0, 65504.0, f32::MAX), 0);
        assert_eq!(from_log2(f32::NAN), -(1 << 29));
        assert_eq!(from_log2(f32::INFINITY), 1 << 29);
        assert_eq!(sink(f32::NAN), -(1 << 26));
        assert_eq!(sink(f32::INFINITY), 1 << 26);
        assert_eq!(sink(0.0), 0);
        assert_eq!(sink(1.0), 94548);
    }
}
