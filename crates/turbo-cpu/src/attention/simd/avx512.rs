//! The inner loops with AVX-512 (F, BW, CD, DQ, VL) and VNNI.

use std::arch::x86_64::{
    __m512, __m512i, _mm_loadu_si128, _mm256_loadu_si256, _mm512_add_epi32, _mm512_and_si512, _mm512_broadcast_i32x4,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cvtepu8_epi16, _mm512_cvtepu8_epi32, _mm512_dpbusd_epi32,
    _mm512_dpwssd_epi32, _mm512_fmadd_ps, _mm512_loadu_si512, _mm512_mask_blend_epi8, _mm512_mul_ps, _mm512_or_si512,
    _mm512_reduce_add_ps, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_slli_epi16, _mm512_slli_epi32, _mm512_storeu_si512,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};
use std::ops::Range;

use turbo_backend::BLOCK_TOKENS as TILE;
use turbo_backend::plan::RopeStyle;

use super::bias::{self, BiasRow, BiasTile};
use super::body::{self, Keys, PowerKeys, ScaleKeys, ScoreRow, ScoreTile};
use super::float;
use super::unpack::Unpack;
use crate::attention::exact::fold::{Denominator, Frame, Shifts};
use crate::attention::exact::tile::WeightWidth;

pub(super) use super::avx2::widen;

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

widened!(add_bias = bias::add_bias::<TILE>,
    (row: BiasRow<'_>, tile: BiasTile<'_>, scratch: &mut [f32], scores: &mut Keys<i32>));
widened!(turn_key = bias::turn_key, (style: RopeStyle, turned: &[f32], cos: &[f32], sin: &[f32], key: &mut [f32]));
widened!(powers = body::powers, (scores: &Keys<i32>, from: usize, to: usize) -> (PowerKeys, Denominator));
widened!(weights = body::weights, (powers: &PowerKeys, scales: &ScaleKeys, width: WeightWidth) -> (Keys<i16>, Frame));
widened!(scale_parts = body::scale_parts, (words: &[u32], out: &mut ScaleKeys));
widened!(join = body::join, (state: &mut [i32], part: &[i32], shifts: Shifts));
widened!(pairs = body::pairs, (levels: &[i8], d: usize, out: &mut [i16]));
widened!(probabilities = float::probabilities,
    (scores: &Keys<f32>, max: f32, from: usize, to: usize) -> (Keys<f32>, f32));

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

/// As `unpack::portable`, 64 values at once; shorter runs with AVX2.
#[target_feature(enable = "avx2,avx512f,avx512bw")]
pub(super) fn unpack(unpack: &Unpack, codes: &[u32], keys: &Range<usize>, out: &mut [i8]) {
    let d = unpack.side.head_dim;
    if unpack.runs.iter().any(|run| !run.n.is_multiple_of(64)) {
        return super::avx2::unpack(unpack, codes, keys, out);
    }
    for run in &unpack.runs {
        // SAFETY: 16 bytes are read from an array of 16.
        let table = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(run.levels.as_ptr().cast()) });
        let rows = codes.chunks_exact(unpack.side.code_words).zip(out.chunks_exact_mut(d));
        let rows = rows.take(keys.end).skip(keys.start);
        let low = run.at * unpack.low_bits / 32..(run.at + run.n) * unpack.low_bits / 32;
        let values = run.at..run.at + run.n;
        match unpack.high_at {
            None if unpack.low_bits == 4 => rows.for_each(|(codes, out)| {
                let out = out[values.clone()].as_chunks_mut::<64>().0.iter_mut();
                for (words, out) in codes[low.clone()].as_chunks::<8>().0.iter().zip(out) {
                    store(out, _mm512_shuffle_epi8(table, index4(words)));
                }
            }),
            None => rows.for_each(|(codes, out)| {
                let out = out[values.clone()].as_chunks_mut::<64>().0.iter_mut();
                for (words, out) in codes[low.clone()].as_chunks::<4>().0.iter().zip(out) {
                    store(out, _mm512_shuffle_epi8(table, index2(words)));
                }
            }),
            Some(at) => rows.for_each(|(codes, out)| {
                let high = codes[at + run.at / 32..].as_chunks::<2>().0;
                let out = out[values.clone()].as_chunks_mut::<64>().0.iter_mut();
                for ((words, &[h0, h1]), out) in codes[low.clone()].as_chunks::<4>().0.iter().zip(high).zip(out) {
                    let index = index2(words);
                    let raised = _mm512_or_si512(index, _mm512_set1_epi8(4));
                    let bits = u64::from(h0) | u64::from(h1) << 32;
                    store(out, _mm512_shuffle_epi8(table, _mm512_mask_blend_epi8(bits, index, raised)));
                }
            }),
        }
    }
}

/// 64 nibbles to 64 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn index4(words: &[u32; 8]) -> __m512i {
    // SAFETY: 32 bytes are read from an array of 32.
    let bytes = _mm512_cvtepu8_epi16(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) });
    _mm512_and_si512(_mm512_or_si512(bytes, _mm512_slli_epi16::<4>(bytes)), _mm512_set1_epi8(15))
}

/// 64 pairs of bits to 64 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn index2(words: &[u32; 4]) -> __m512i {
    // SAFETY: 16 bytes are read from an array of 16.
    let bytes = _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(words.as_ptr().cast()) });
    let halves = _mm512_or_si512(bytes, _mm512_slli_epi32::<12>(bytes));
    _mm512_and_si512(_mm512_or_si512(halves, _mm512_slli_epi32::<6>(halves)), _mm512_set1_epi8(3))
}

/// Transposes 16 x 16 words.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(r: [__m512i; 16]) -> [__m512i; 16] {
    // Within 128-bit lanes: column 4l + c of rows 4g .. 4g + 3 comes to lane l of fours[g][c].
    let fours: [[__m512i; 4]; 4] = std::array::from_fn(|g| {
        let [r0, r1, r2, r3] = [r[4 * g], r[4 * g + 1], r[4 * g + 2], r[4 * g + 3]];
        let (a, b) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
        let (c, d) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
        [
            _mm512_unpacklo_epi64(a, c),
            _mm512_unpackhi_epi64(a, c),
            _mm512_unpacklo_epi64(b, d),
            _mm512_unpackhi_epi64(b, d),
        ]
    });
    let mut out = [_mm512_setzero_si512(); 16];
    for c in 0..4 {
        let [x0, x1, x2, x3] = [fours[0][c], fours[1][c], fours[2][c], fours[3][c]];
        let (a, b) = (_mm512_shuffle_i32x4::<0x44>(x0, x1), _mm512_shuffle_i32x4::<0xee>(x0, x1));
        let (d, e) = (_mm512_shuffle_i32x4::<0x44>(x2, x3), _mm512_shuffle_i32x4::<0xee>(x2, x3));
        out[c] = _mm512_shuffle_i32x4::<0x88>(a, d);
        out[4 + c] = _mm512_shuffle_i32x4::<0xdd>(a, d);
        out[8 + c] = _mm512_shuffle_i32x4::<0x88>(b, e);
        out[12 + c] = _mm512_shuffle_i32x4::<0xdd>(b, e);
    }
    out
}

#[target_feature(enable = "avx2,avx512f")]
pub(super) fn quads(levels: &[i8], d: usize, out: &mut [u8]) {
    if !d.is_multiple_of(64) {
        return super::avx2::quads(levels, d, out);
    }
    let flip = _mm512_set1_epi32(i32::from_le_bytes([body::BIAS as u8; 4]));
    for (t, rows) in levels.chunks_exact(16 * d).enumerate() {
        for at in (0..d).step_by(64) {
            let mut words = [_mm512_setzero_si512(); 16];
            for (k, words) in words.iter_mut().enumerate() {
                *words = load(&rows[k * d + at..][..64]);
            }
            for (j, column) in transpose(words).into_iter().enumerate() {
                let to = ((at / 4 + j) * TILE + 16 * t) * 4;
                store(&mut out[to..to + 64], _mm512_xor_si512(column, flip));
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn dots(q: &[f32], keys: &[f32], scale: f32, from: usize, to: usize) -> Keys<f32> {
    let mut out = [0.0; TILE];
    let whole = from + (to - from) / 4 * 4;
    for (out, rows) in
        out[from..whole].as_chunks_mut::<4>().0.iter_mut().zip(keys[from * q.len()..].chunks(4 * q.len()))
    {
        *out = dots_some::<4>(q, rows, scale);
    }
    for (out, row) in out[whole..to].iter_mut().zip(keys[whole * q.len()..].chunks(q.len())) {
        [*out] = dots_some::<1>(q, row, scale);
    }
    out
}

/// N keys at once; each is added up in the same order for every N.
#[inline]
#[target_feature(enable = "avx512f")]
fn dots_some<const N: usize>(q: &[f32], rows: &[f32], scale: f32) -> [f32; N] {
    let mut sums = [_mm512_setzero_ps(); N];
    for (i, q16) in q.as_chunks::<16>().0.iter().enumerate() {
        let q16 = load_ps(q16);
        for (k, sum) in sums.iter_mut().enumerate() {
            let at = k * q.len() + 16 * i;
            *sum = _mm512_fmadd_ps(q16, load_ps(&rows[at..at + 16]), *sum);
        }
    }
    sums.map(|sum| float::limited(_mm512_reduce_add_ps(sum) * scale))
}

#[target_feature(enable = "avx512f")]
pub(super) fn mix(p: &Keys<f32>, values: &[f32], factor: f32, from: usize, to: usize, sums: &mut [f32]) {
    let stride = sums.len();
    let whole = stride / 128 * 128;
    let (wide, rest) = sums.split_at_mut(whole);
    for (i, sums) in wide.chunks_exact_mut(128).enumerate() {
        mix_some::<8>(&p[from..to], &values[from * stride + 128 * i..], factor, stride, sums);
    }
    for (i, sums) in rest.chunks_exact_mut(32).enumerate() {
        mix_some::<2>(&p[from..to], &values[from * stride + whole + 32 * i..], factor, stride, sums);
    }
}

/// 16 * N values at once.
#[inline]
#[target_feature(enable = "avx512f")]
fn mix_some<const N: usize>(p: &[f32], values: &[f32], factor: f32, stride: usize, sums: &mut [f32]) {
    let mut acc = [_mm512_setzero_ps(); N];
    for (acc, sums) in acc.iter_mut().zip(sums.as_chunks::<16>().0) {
        *acc = _mm512_mul_ps(load_ps(sums), _mm512_set1_ps(factor));
    }
    for (&p, row) in p.iter().zip(values.chunks(stride)) {
        let p = _mm512_set1_ps(p);
        for (acc, v) in acc.iter_mut().zip(row[..16 * N].as_chunks::<16>().0) {
            *acc = _mm512_fmadd_ps(p, load_ps(v), *acc);
        }
    }
    for (sums, acc) in sums.as_chunks_mut::<16>().0.iter_mut().zip(acc) {
        store(sums, _mm512_castps_si512(acc));
    }
}

/// 16 floats.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_ps(from: &[f32]) -> __m512 {
    _mm512_castsi512_ps(load(from))
}
