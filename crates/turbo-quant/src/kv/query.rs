//! A query head as integers: `docs/exact-attention.md` section 5.

use super::{Fault, block_shift};
use crate::kv_type::{KvType, rotation_groups};
use crate::simd::Isa;
use crate::turbo::exact::{exponent_field, scale_pow2};
use crate::turbo::rotate::{Direction, normalise, rotate_scaled};

/// The scale of a quantised query: rotated value = q * `recip` * 2^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryCodes {
    /// The reciprocal of the integer the query was multiplied by, up to a power of two; 0 for a zero query.
    pub recip: f32,
    /// The power of two that belongs to it.
    pub exponent: i32,
}

impl QueryCodes {
    /// mult of section 6: (score in log2 units) * 2^16 = idot * scale of K * mult, for a scale block of
    /// K of `block` values.
    ///
    /// `softmax_scale_log2e` is f32(softmax scale * log2(e)).
    #[inline]
    pub fn score_mult(&self, softmax_scale_log2e: f32, k_type: KvType, block: usize) -> f32 {
        let k = self.exponent + 16 - block_shift(k_type, block);
        scale_pow2(self.recip * softmax_scale_log2e, k)
    }
}

/// Rotates and quantises one query head (after rope, not rotated).
///
/// Writes one integer per value to `q`: |q| <= 127, or with `wide` (used when K is q8_0) |q| <= 32512.
/// `scratch` takes as many values and is overwritten.
///
/// # Errors
/// [`Fault::NonFinite`] for inf or nan; nothing is written then.
///
/// # Panics
/// When the lengths differ or are no multiple of 16.
pub fn quantize_query(head: &[f32], wide: bool, q: &mut [i16], scratch: &mut [f32]) -> Result<QueryCodes, Fault> {
    assert!(head.len().is_multiple_of(16), "a query head of {} values", head.len());
    assert_eq!((q.len(), scratch.len()), (head.len(), head.len()), "lengths of a query's buffers");
    crate::simd::quantize_query(head, wide, q, scratch)
}

#[inline(always)]
pub(crate) fn quantize_query_body<I: Isa>(
    head: &[f32],
    wide: bool,
    q: &mut [i16],
    scratch: &mut [f32],
) -> Result<QueryCodes, Fault> {
    let mut field = 0;
    for &v in head {
        field = field.max(exponent_field(v));
    }
    if field == 255 {
        return Err(Fault::NonFinite);
    }
    rotate_into::<I>(head, field, scratch);
    let mut largest = 0;
    for v in &*scratch {
        largest = largest.max(v.to_bits() & 0x7fff_ffff);
    }
    if largest == 0 {
        q.fill(0);
        return Ok(QueryCodes { recip: 0.0, exponent: 0 });
    }
    let top = (largest >> 23) as i32 - 127;
    let m16 = ((largest & 0x007f_ffff | 0x0080_0000) + 255) >> 8;
    let inverse = (127_u32 << 24) / m16;
    let wider = if wide { 8 } else { 0 };
    let (factor, k) = (inverse as i32 as f32, wider - top - 9);
    for (q, &y) in q.iter_mut().zip(&*scratch) {
        *q = round_even(scale_pow2(y * factor, k)) as i32 as i16;
    }
    let (whole, rest) = ((1 << 31) / inverse, (1 << 31) % inverse);
    let reciprocal = (whole << 14) + (rest << 14) / inverse;
    let exponent = top + 9 + field as i32 - 127 - 45 - wider;
    Ok(QueryCodes { recip: reciprocal as i32 as f32, exponent })
}

/// Rotates group by group into `out`, all in the frame of the exponent field `field`.
#[inline(always)]
fn rotate_into<I: Isa>(head: &[f32], field: u32, out: &mut [f32]) {
    let mut at = 0;
    for n in rotation_groups(head.len()) {
        let (group, out) = (&head[at..at + n], &mut out[at..at + n]);
        match n {
            128 => rotate_group_into::<I, 128>(group, field, out),
            64 => rotate_group_into::<I, 64>(group, field, out),
            32 => rotate_group_into::<I, 32>(group, field, out),
            _ => rotate_group_into::<I, 16>(group, field, out),
        }
        at += n;
    }
}

#[inline(always)]
fn rotate_group_into<I: Isa, const N: usize>(group: &[f32], field: u32, out: &mut [f32]) {
    let Some(mut group) = group.first_chunk::<N>().and_then(normalise) else {
        return;
    };
    rotate_scaled::<I, N>(&mut group, Direction::Forward);
    let k = group.field as i32 - field as i32;
    for (out, &y) in out.iter_mut().zip(&group.values) {
        *out = scale_pow2(y, k);
    }
}

/// The nearest integer, ties to even, for |x| <= 2^22: adding 1.5 * 2^23 leaves no fraction bits.
#[inline(always)]
fn round_even(x: f32) -> f32 {
    (x + 12_582_912.0) - 12_582_912.0
}
