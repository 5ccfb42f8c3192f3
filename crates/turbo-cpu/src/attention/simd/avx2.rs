//! The inner loops with AVX2, FMA and F16C.

use std::arch::x86_64::{
    __m256, __m256i, _mm_cvtsi64_si128, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi32, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi8, _mm256_cvtepu8_epi16,
    _mm256_cvtepu8_epi32, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_set1_ps, _mm256_setr_epi64x, _mm256_setzero_ps,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sign_epi8, _mm256_slli_epi16, _mm256_slli_epi32,
    _mm256_storeu_ps, _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32,
    _mm256_unpacklo_epi64, _mm256_xor_si256,
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

/// A copy of a plain body compiled for these features.
macro_rules! widened {
    ($name:ident = $body:expr, ($($arg:ident: $ty:ty),*) $(-> $ret:ty)?) => {
        #[target_feature(enable = "avx2,fma,f16c")]
        #[allow(clippy::too_many_arguments, reason = "an inner loop takes what it works on")]
        pub(super) fn $name($($arg: $ty),*) $(-> $ret)? {
            $body($($arg),*)
        }
    };
}

widened!(add_bias = bias::add_bias::<{ TILE / 2 }>,
    (row: BiasRow<'_>, tile: BiasTile<'_>, scratch: &mut [f32], scores: &mut Keys<i32>));
widened!(turn_key = bias::turn_key, (style: RopeStyle, turned: &[f32], cos: &[f32], sin: &[f32], key: &mut [f32]));
widened!(powers = body::powers, (scores: &Keys<i32>, from: usize, to: usize) -> (PowerKeys, Denominator));
widened!(weights = body::weights, (powers: &PowerKeys, scales: &ScaleKeys, width: WeightWidth) -> (Keys<i16>, Frame));
widened!(scale_parts = body::scale_parts, (words: &[u32], out: &mut ScaleKeys));
widened!(join = body::join, (state: &mut [i32], part: &[i32], shifts: Shifts));
widened!(pairs = body::pairs, (levels: &[i8], d: usize, out: &mut [i16]));
widened!(probabilities = float::probabilities,
    (scores: &Keys<f32>, max: f32, from: usize, to: usize) -> (Keys<f32>, f32));

/// Loads 32 bytes of any type.
#[inline]
#[target_feature(enable = "avx2")]
fn load<T>(from: &[T]) -> __m256i {
    debug_assert!(size_of_val(from) >= 32);
    // SAFETY: the slice has at least 32 bytes: callers pass chunks of that size.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// Stores 32 bytes of any type.
#[inline]
#[target_feature(enable = "avx2")]
fn store<T>(to: &mut [T], v: __m256i) {
    debug_assert!(size_of_val(to) >= 32);
    // SAFETY: the slice has at least 32 bytes: callers pass chunks of that size.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), v) }
}

/// As `body::dot`. |level| <= 127 and |q| <= 127, so no pair of products passes an i16.
#[target_feature(enable = "avx2")]
fn dot(q: &[i8], levels: &[u8], bias: i32) -> Keys<i32> {
    let unbiased = bias + body::BIAS * q.iter().map(|&q| i32::from(q)).sum::<i32>();
    let flip = _mm256_set1_epi8(i8::MIN);
    let ones = _mm256_set1_epi16(1);
    let mut sums = [_mm256_set1_epi32(unbiased); TILE / 8];
    for (q, quads) in q.as_chunks::<4>().0.iter().zip(levels.as_chunks::<{ 4 * TILE }>().0) {
        let q = _mm256_set1_epi32(i32::from_le_bytes(q.map(|q| q as u8)));
        for (sum, quads) in sums.iter_mut().zip(quads.as_chunks::<32>().0) {
            let level = _mm256_xor_si256(load(quads), flip);
            let products = _mm256_maddubs_epi16(_mm256_abs_epi8(level), _mm256_sign_epi8(q, level));
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(products, ones));
        }
    }
    let mut out = [0; TILE];
    for (out, sum) in out.as_chunks_mut::<8>().0.iter_mut().zip(sums) {
        store(out, sum);
    }
    out
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn scores(row: ScoreRow<'_>, tile: ScoreTile<'_>) -> Keys<i32> {
    body::scores(row, tile, |q, levels, bias| dot(q, levels, bias))
}

#[target_feature(enable = "avx2")]
pub(super) fn weigh(weights: &Keys<i16>, levels: &[i16], stride: usize, from: usize, to: usize, sums: &mut [i32]) {
    for (i, sums) in sums.chunks_mut(64).enumerate() {
        let levels = &levels[i * 128..];
        match sums.len() / 16 {
            4 => weigh_some::<8>(weights, levels, stride, from, to, sums),
            2 => weigh_some::<4>(weights, levels, stride, from, to, sums),
            1 => weigh_some::<2>(weights, levels, stride, from, to, sums),
            _ => body::weigh(weights, levels, stride, from, to, sums),
        }
    }
}

/// 8 * N values at once.
#[target_feature(enable = "avx2")]
fn weigh_some<const N: usize>(
    weights: &Keys<i16>,
    levels: &[i16],
    stride: usize,
    from: usize,
    to: usize,
    sums: &mut [i32],
) {
    let mut acc = [_mm256_setzero_si256(); N];
    for p in from..to {
        let w = _mm256_set1_epi32(i32::from(weights[2 * p + 1]) << 16 | i32::from(weights[2 * p] as u16));
        let row = &levels[p * stride..][..16 * N];
        for (acc, levels) in acc.iter_mut().zip(row.as_chunks::<16>().0) {
            *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(load(levels), w));
        }
    }
    for (sums, acc) in sums.as_chunks_mut::<8>().0.iter_mut().zip(acc) {
        store(sums, acc);
    }
}

/// Transposes 8 x 8 words.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(r: [__m256i; 8]) -> [__m256i; 8] {
    let pair = |a, b| (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    let ((a0, a1), (a2, a3)) = (pair(r[0], r[1]), pair(r[2], r[3]));
    let ((a4, a5), (a6, a7)) = (pair(r[4], r[5]), pair(r[6], r[7]));
    let quad = |a, b| (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let ((b0, b1), (b2, b3)) = (quad(a0, a2), quad(a1, a3));
    let ((b4, b5), (b6, b7)) = (quad(a4, a6), quad(a5, a7));
    let low = |a, b| _mm256_permute2x128_si256::<0x20>(a, b);
    let high = |a, b| _mm256_permute2x128_si256::<0x31>(a, b);
    [low(b0, b4), low(b1, b5), low(b2, b6), low(b3, b7), high(b0, b4), high(b1, b5), high(b2, b6), high(b3, b7)]
}

#[target_feature(enable = "avx2")]
pub(super) fn quads(levels: &[i8], d: usize, out: &mut [u8]) {
    let flip = _mm256_set1_epi8(i8::MIN);
    let whole = d / 32 * 32;
    for (t, rows) in levels.chunks_exact(8 * d).enumerate() {
        for at in (0..whole).step_by(32) {
            let words = std::array::from_fn(|k| load(&rows[k * d + at..][..32]));
            for (j, column) in transpose(words).into_iter().enumerate() {
                let to = ((at / 4 + j) * TILE + 8 * t) * 4;
                store(&mut out[to..to + 32], _mm256_xor_si256(column, flip));
            }
        }
    }
    if whole < d {
        quads_tail(levels, d, whole, out);
    }
}

/// The values from `from` on, fewer than 32.
fn quads_tail(levels: &[i8], d: usize, from: usize, out: &mut [u8]) {
    for (t, row) in levels.chunks_exact(d).enumerate() {
        for (j, quad) in row.as_chunks::<4>().0.iter().enumerate().skip(from / 4) {
            let at = (j * TILE + t) * 4;
            out[at..at + 4].copy_from_slice(&quad.map(|level| level as u8 ^ body::BIAS as u8));
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn widen(words: &[u32], out: &mut [f32]) {
    let (blocks, rest) = words.as_chunks::<4>();
    let (out_blocks, out_rest) = out.as_chunks_mut::<8>();
    for (words, out) in blocks.iter().zip(&mut *out_blocks) {
        // SAFETY: 16 bytes are read from an array of 16, 32 written to an array of 32.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(words.as_ptr().cast()))) };
    }
    if !rest.is_empty() {
        let tail = out_blocks.get_mut(blocks.len()).map_or(out_rest, |tail| &mut tail[..]);
        float::widen(rest, tail);
    }
}

/// As `unpack::portable`, 32 values at once.
#[target_feature(enable = "avx2")]
pub(super) fn unpack(unpack: &Unpack, codes: &[u32], keys: &Range<usize>, out: &mut [i8]) {
    let d = unpack.side.head_dim;
    for run in &unpack.runs {
        let whole = run.n / 32 * 32;
        // SAFETY: 16 bytes are read from an array of 16.
        let table = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(run.levels.as_ptr().cast()) });
        for key in keys.clone() {
            let (low, high) = unpack.planes(codes, key);
            let out = &mut out[key * d..][..d];
            let mut words = low[run.at * unpack.low_bits / 32..].iter().copied();
            for (i, out) in out[run.at..run.at + whole].as_chunks_mut::<32>().0.iter_mut().enumerate() {
                let mut next = || words.next().unwrap_or(0);
                let index = if unpack.low_bits == 4 {
                    index4([next(), next(), next(), next()])
                } else {
                    let low = index2([next(), next()]);
                    high.get(run.at / 32 + i).map_or(low, |&bits| _mm256_or_si256(low, fours(bits)))
                };
                store(out, _mm256_shuffle_epi8(table, index));
            }
            if whole < run.n {
                unpack.tail(run, whole, (low, high), out);
            }
        }
    }
}

/// 32 nibbles to 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn index4(words: [u32; 4]) -> __m256i {
    // SAFETY: 16 bytes are read from an array of 16.
    let bytes = _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(words.as_ptr().cast()) });
    _mm256_and_si256(_mm256_or_si256(bytes, _mm256_slli_epi16::<4>(bytes)), _mm256_set1_epi8(15))
}

/// 32 pairs of bits to 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn index2([a, b]: [u32; 2]) -> __m256i {
    let bytes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((u64::from(a) | u64::from(b) << 32) as i64));
    let halves = _mm256_or_si256(bytes, _mm256_slli_epi32::<12>(bytes));
    _mm256_and_si256(_mm256_or_si256(halves, _mm256_slli_epi32::<6>(halves)), _mm256_set1_epi8(3))
}

/// 32 bits to 32 bytes of 0 or 4.
#[inline]
#[target_feature(enable = "avx2")]
fn fours(bits: u32) -> __m256i {
    const ONES: i64 = 0x0101_0101_0101_0101;
    let which = _mm256_setr_epi64x(0, ONES, 2 * ONES, 3 * ONES);
    let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits as i32), which);
    let mask = _mm256_set1_epi64x(i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]));
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, mask), mask);
    _mm256_and_si256(set, _mm256_set1_epi8(4))
}

#[target_feature(enable = "avx2,fma")]
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
#[target_feature(enable = "avx2,fma")]
fn dots_some<const N: usize>(q: &[f32], rows: &[f32], scale: f32) -> [f32; N] {
    let mut sums = [_mm256_setzero_ps(); N];
    for (i, q8) in q.as_chunks::<8>().0.iter().enumerate() {
        let q8 = load_ps(q8);
        for (k, sum) in sums.iter_mut().enumerate() {
            let at = k * q.len() + 8 * i;
            *sum = _mm256_fmadd_ps(q8, load_ps(&rows[at..at + 8]), *sum);
        }
    }
    sums.map(|sum| {
        let mut lanes = [0.0; 8];
        store(&mut lanes, _mm256_castps_si256(sum));
        let [a, b, c, d, e, f, g, h] = lanes;
        float::limited((((a + e) + (b + f)) + ((c + g) + (d + h))) * scale)
    })
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn mix(p: &Keys<f32>, values: &[f32], factor: f32, from: usize, to: usize, sums: &mut [f32]) {
    let stride = sums.len();
    let whole = stride / 64 * 64;
    let (wide, rest) = sums.split_at_mut(whole);
    for (i, sums) in wide.chunks_exact_mut(64).enumerate() {
        mix_some::<8>(&p[from..to], &values[from * stride + 64 * i..], factor, stride, sums);
    }
    for sums in rest.chunks_exact_mut(32) {
        mix_some::<4>(&p[from..to], &values[from * stride + whole..], factor, stride, sums);
    }
}

/// 8 * N values at once.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mix_some<const N: usize>(p: &[f32], values: &[f32], factor: f32, stride: usize, sums: &mut [f32]) {
    let mut acc = [_mm256_setzero_ps(); N];
    for (acc, sums) in acc.iter_mut().zip(sums.as_chunks::<8>().0) {
        *acc = _mm256_mul_ps(load_ps(sums), _mm256_set1_ps(factor));
    }
    for (&p, row) in p.iter().zip(values.chunks(stride)) {
        let p = _mm256_set1_ps(p);
        for (acc, v) in acc.iter_mut().zip(row[..8 * N].as_chunks::<8>().0) {
            *acc = _mm256_fmadd_ps(p, load_ps(v), *acc);
        }
    }
    for (sums, acc) in sums.as_chunks_mut::<8>().0.iter_mut().zip(acc) {
        store(sums, _mm256_castps_si256(acc));
    }
}

/// 8 floats.
#[inline]
#[target_feature(enable = "avx2")]
fn load_ps(from: &[f32]) -> __m256 {
    _mm256_castsi256_ps(load(from))
}
