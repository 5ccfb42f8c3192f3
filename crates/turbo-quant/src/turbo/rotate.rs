//! Normalising and rotating one group or one head: `docs/exact-attention.md` sections 2 and 3.

use super::exact::{exponent_field, scale_pow2};
use super::signs::{S1_MASKS, S2_MASKS};
use crate::kv_type::rotation_groups;
use crate::simd::Isa;

/// Which way a head is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Signs S1, transform, signs S2: what K, V and Q go through.
    Forward,
    /// Signs S2, transform, signs S1: what brings the output back.
    Inverse,
}

/// A group whose largest magnitude is in [1, 2), or all zero.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<const N: usize> {
    /// The values times 2^-`exponent`; those 2^60 times smaller than the largest are +0.0.
    pub values: [f32; N],
    /// Largest exponent field of the group; 0 when the group is zero.
    pub field: u32,
}

impl<const N: usize> Normalised<N> {
    /// The power of two to give back: real value = value * 2^exponent.
    #[inline(always)]
    pub const fn exponent(&self) -> i32 {
        self.field as i32 - 127
    }
}

/// f32 nearest 1/sqrt(n) for a rotation group of n values.
#[inline(always)]
pub const fn inv_sqrt(n: usize) -> f32 {
    match n {
        16 => 0.25,
        32 => 0.176_776_69,
        64 => 0.125,
        _ => 0.088_388_346,
    }
}

/// Brings the largest magnitude into [1, 2) by a power of two; `None` when a value is inf or nan.
#[inline(always)]
pub fn normalise<const N: usize>(x: &[f32; N]) -> Option<Normalised<N>> {
    let mut field = 0;
    for &v in x {
        field = field.max(exponent_field(v));
    }
    if field == 255 {
        return None;
    }
    let mut values = [0.0; N];
    for i in 0..N {
        let own = exponent_field(x[i]);
        let moved = (x[i].to_bits() & 0x807f_ffff) | (own.wrapping_add(127).wrapping_sub(field) << 23);
        let kept = own != 0 && field - own <= 60;
        values[i] = f32::from_bits(if kept { moved } else { 0 });
    }
    Some(Normalised { values, field })
}

#[inline(always)]
fn flip<const N: usize>(x: &mut [f32; N], masks: &[u32; 128]) {
    for i in 0..N {
        x[i] = f32::from_bits(x[i].to_bits() ^ masks[i]);
    }
}

#[inline(always)]
fn stage<const N: usize, const H: usize>(x: &mut [f32; N]) {
    if H < N {
        for pair in x.chunks_exact_mut(2 * H) {
            let (low, high) = pair.split_at_mut(H);
            for i in 0..H {
                let (a, b) = (low[i], high[i]);
                low[i] = a + b;
                high[i] = a - b;
            }
        }
    }
}

/// A stage of stride H < 8 within lanes of 8: the lane holding b of a pair becomes a + (-b), which is a - b.
#[inline(always)]
fn lane_stage<const N: usize, const H: usize>(x: &mut [f32; N]) {
    for lane in x.as_chunks_mut::<8>().0 {
        let from = *lane;
        let mut signed = from;
        for i in 0..8 {
            let negative = if i & H == 0 { 0 } else { 1 << 31 };
            signed[i] = f32::from_bits(from[i].to_bits() ^ negative);
        }
        for i in 0..8 {
            lane[i] = from[i ^ H] + signed[i];
        }
    }
}

/// Walsh-Hadamard transform in natural order, not scaled: strides 1, 2, 4, .. N/2. N is 16, 32, 64 or 128.
#[inline(always)]
pub fn fwht<const N: usize>(x: &mut [f32; N]) {
    lane_stage::<N, 1>(x);
    lane_stage::<N, 2>(x);
    lane_stage::<N, 4>(x);
    stage::<N, 8>(x);
    stage::<N, 16>(x);
    stage::<N, 32>(x);
    stage::<N, 64>(x);
}

/// Rotates a group; the result is sqrt(N) times too large.
#[inline(always)]
pub(crate) fn rotate<I: Isa, const N: usize>(x: &mut [f32; N], direction: Direction) {
    let (first, second) = match direction {
        Direction::Forward => (&S1_MASKS, &S2_MASKS),
        Direction::Inverse => (&S2_MASKS, &S1_MASKS),
    };
    flip(x, first);
    I::fwht(x);
    flip(x, second);
}

/// Rotates a normalised group and multiplies it by f32(1/sqrt N).
#[inline(always)]
pub(crate) fn rotate_scaled<I: Isa, const N: usize>(group: &mut Normalised<N>, direction: Direction) {
    rotate::<I, N>(&mut group.values, direction);
    for v in &mut group.values {
        *v *= inv_sqrt(N);
    }
}

#[inline(always)]
fn rotate_group<I: Isa, const N: usize>(x: &mut [f32], direction: Direction) {
    let Some(x) = x.first_chunk_mut::<N>() else {
        return;
    };
    let Some(mut group) = normalise(x) else {
        x.fill(f32::from_bits(0x7fc0_0000));
        return;
    };
    rotate_scaled::<I, N>(&mut group, direction);
    let exponent = group.exponent();
    for (x, &y) in x.iter_mut().zip(&group.values) {
        *x = scale_pow2(y, exponent);
    }
}

#[inline(always)]
pub(crate) fn rotate_head_body<I: Isa>(x: &mut [f32], direction: Direction) {
    let mut rest = x;
    for n in rotation_groups(rest.len()) {
        let (group, after) = rest.split_at_mut(n);
        match n {
            128 => rotate_group::<I, 128>(group, direction),
            64 => rotate_group::<I, 64>(group, direction),
            32 => rotate_group::<I, 32>(group, direction),
            _ => rotate_group::<I, 16>(group, direction),
        }
        rest = after;
    }
}

/// Rotates one head in place, group by group; lengths and inner products are kept.
///
/// A group with an inf or nan becomes all nan (0x7fc00000). The head size must be a multiple of 16;
/// a remainder below 16 is left as it is.
pub fn rotate_head(x: &mut [f32], direction: Direction) {
    crate::simd::rotate_head(x, direction);
}
