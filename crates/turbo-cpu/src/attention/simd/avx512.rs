//! The inner loops with AVX-512 (F, BW, CD, DQ, VL) and VNNI.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_storeu_si512,
};

use turbo_backend::BLOCK_TOKENS as TILE;

use super::body::{self, Keys, PowerKeys, ScaleKeys, ScoreRow, ScoreTile};
use super::float;
use crate::attention::exact::fold::{Denominator, Frame, Shifts};
use crate::attention::exact::tile::WeightWidth;

pub(super) use super::avx2::{quads, widen};

/// A copy of a plain body compiled for these features.
macro_rules! widened {
    ($name:ident = $body:expr, ($($arg:ident: $ty:ty),*) $(-> $ret:ty)?) => {
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni")]
        #[allow(clippy::too_many_arguments, reason = "an inner loop takes what it works on")]
        pub(super) fn $name($($arg: $ty),*) $(-> $ret)? {
            $body($($arg),*)
        }
    };
}

widened!(powers = body::powers, (scores: &Keys<i32>, from: usize, to: usize) -> (PowerKeys, Denominator));
widened!(weights = body::weights, (powers: &PowerKeys, scales: &ScaleKeys, width: WeightWidth) -> (Keys<i16>, Frame));
widened!(join = body::join, (state: &mut [i32], part: &[i32], shifts: Shifts));
widened!(pairs = body::pairs, (levels: &[i8], d: usize, out: &mut [i16]));
widened!(dots = float::dots::<true>, (q: &[f32], keys: &[f32], scale: f32, from: usize, to: usize) -> Keys<f32>);
widened!(probabilities = float::probabilities,
    (scores: &Keys<f32>, max: f32, from: usize, to: usize) -> (Keys<f32>, f32));
widened!(mix = float::mix::<true>,
    (p: &Keys<f32>, values: &[f32], factor: f32, from: usize, to: usize, sums: &mut [f32]));

/// Loads 64 bytes of any type.
#[inline]
#[target_feature(enable = "avx512f")]
fn load<T>(from: &[T]) -> __m512i {
    debug_assert!(size_of_val(from) >= 64);
    // SAFETY: the slice has at least 64 bytes: callers pass chunks of that size.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// Stores 64 bytes of any type.
#[inline]
#[target_feature(enable = "avx512f")]
fn store<T>(to: &mut [T], v: __m512i) {
    debug_assert!(size_of_val(to) >= 64);
    // SAFETY: the slice has at least 64 bytes: callers pass chunks of that size.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
}

/// As `body::dot`: levels as the unsigned side, the query as the signed one.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dot(q: &[i8], levels: &[u8], bias: i32) -> Keys<i32> {
    let mut even = [_mm512_set1_epi32(bias); TILE / 16];
    let mut odd = [_mm512_setzero_si512(); TILE / 16];
    for (q, quads) in q.as_chunks::<8>().0.iter().zip(levels.as_chunks::<{ 8 * TILE }>().0) {
        let [q0, q1, q2, q3, q4, q5, q6, q7] = q.map(|q| q as u8);
        let (first, second) = quads.split_at(4 * TILE);
        let q_even = _mm512_set1_epi32(i32::from_le_bytes([q0, q1, q2, q3]));
        for (sum, quads) in even.iter_mut().zip(first.as_chunks::<64>().0) {
            *sum = _mm512_dpbusd_epi32(*sum, load(quads), q_even);
        }
        let q_odd = _mm512_set1_epi32(i32::from_le_bytes([q4, q5, q6, q7]));
        for (sum, quads) in odd.iter_mut().zip(second.as_chunks::<64>().0) {
            *sum = _mm512_dpbusd_epi32(*sum, load(quads), q_odd);
        }
    }
    let mut out = [0; TILE];
    for (i, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        store(out, _mm512_add_epi32(even[i], odd[i]));
    }
    out
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni")]
pub(super) fn scores(row: ScoreRow<'_>, tile: ScoreTile<'_>) -> Keys<i32> {
    body::scores(row, tile, |q, levels, bias| dot(q, levels, bias))
}

#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn weigh(weights: &Keys<i16>, levels: &[i16], stride: usize, from: usize, to: usize, sums: &mut [i32]) {
    match sums.len() / 16 {
        8 => weigh_some::<8, 1>(weights, levels, stride, from, to, sums),
        4 => weigh_some::<4, 2>(weights, levels, stride, from, to, sums),
        2 => weigh_some::<2, 4>(weights, levels, stride, from, to, sums),
        1 => weigh_some::<1, 4>(weights, levels, stride, from, to, sums),
        _ => body::weigh(weights, levels, stride, from, to, sums),
    }
}

/// 16 * N values at once, in M sets of sums to hide the latency of the additions.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn weigh_some<const N: usize, const M: usize>(
    weights: &Keys<i16>,
    levels: &[i16],
    stride: usize,
    from: usize,
    to: usize,
    sums: &mut [i32],
) {
    let mut acc = [[_mm512_setzero_si512(); N]; M];
    for p in (from / M * M..to).step_by(M) {
        for (m, acc) in acc.iter_mut().enumerate() {
            let [w0, w1] = [weights[2 * (p + m)], weights[2 * (p + m) + 1]];
            let w = _mm512_set1_epi32(i32::from(w1) << 16 | i32::from(w0 as u16));
            let row = &levels[(p + m) * stride..][..32 * N];
            for (acc, levels) in acc.iter_mut().zip(row.as_chunks::<32>().0) {
                *acc = _mm512_dpwssd_epi32(*acc, load(levels), w);
            }
        }
    }
    for (i, sums) in sums.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let mut sum = acc[0][i];
        for acc in &acc[1..] {
            sum = _mm512_add_epi32(sum, acc[i]);
        }
        store(sums, sum);
    }
}
