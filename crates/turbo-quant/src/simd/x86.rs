//! AVX2.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_add_ps, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi8, _mm256_cvtepu8_epi16, _mm256_cvtepu8_epi32,
    _mm256_loadu_ps, _mm256_or_si256, _mm256_permute_ps, _mm256_permute2f128_ps, _mm256_set1_epi8, _mm256_set1_epi32,
    _mm256_set1_epi64x, _mm256_setr_epi32, _mm256_setr_epi64x, _mm256_setzero_ps, _mm256_shuffle_epi8,
    _mm256_slli_epi16, _mm256_slli_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_ps, _mm256_xor_ps,
};

use super::Isa;
use crate::kv::code_levels;
use crate::kv_type::KvType;

/// Only named inside functions compiled for AVX2 and called after its detection.
pub(crate) struct Avx2;

impl Isa for Avx2 {
    #[inline(always)]
    fn fwht<const N: usize>(x: &mut [f32; N]) {
        // SAFETY: see `Avx2`.
        unsafe { fwht(x) }
    }

    #[inline(always)]
    fn expand(ty: KvType, n: usize, low: &[u32], high: &[u32], out: &mut [i8]) {
        // SAFETY: see `Avx2`.
        unsafe { expand(ty, n, low, high, out) }
    }
}

/// Strides 1, 2, 4 within lanes of 8, where the lane of b gets a + (-b) = a - b; then whole vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn fwht<const N: usize>(x: &mut [f32; N]) {
    let minus = 1 << 31;
    let odd1 = _mm256_castsi256_ps(_mm256_setr_epi32(0, minus, 0, minus, 0, minus, 0, minus));
    let odd2 = _mm256_castsi256_ps(_mm256_setr_epi32(0, 0, minus, minus, 0, 0, minus, minus));
    let odd4 = _mm256_castsi256_ps(_mm256_setr_epi32(0, 0, 0, 0, minus, minus, minus, minus));
    let count = N / 8;
    let mut v = [_mm256_setzero_ps(); 16];
    for i in 0..count {
        // SAFETY: a chunk of 8 values is read.
        let a = unsafe { _mm256_loadu_ps(x[8 * i..8 * i + 8].as_ptr()) };
        let a = _mm256_add_ps(_mm256_permute_ps::<0b10_11_00_01>(a), _mm256_xor_ps(a, odd1));
        let a = _mm256_add_ps(_mm256_permute_ps::<0b01_00_11_10>(a), _mm256_xor_ps(a, odd2));
        v[i] = _mm256_add_ps(_mm256_permute2f128_ps::<1>(a, a), _mm256_xor_ps(a, odd4));
    }
    stage::<1>(&mut v, count);
    stage::<2>(&mut v, count);
    stage::<4>(&mut v, count);
    stage::<8>(&mut v, count);
    for i in 0..count {
        // SAFETY: a chunk of 8 values is written.
        unsafe { _mm256_storeu_ps(x[8 * i..8 * i + 8].as_mut_ptr(), v[i]) };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn stage<const H: usize>(v: &mut [__m256; 16], count: usize) {
    for i in 0..count {
        if i & H == 0 && i + H < count {
            let (a, b) = (v[i], v[i + H]);
            v[i] = _mm256_add_ps(a, b);
            v[i + H] = _mm256_sub_ps(a, b);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn expand(ty: KvType, n: usize, low: &[u32], high: &[u32], out: &mut [i8]) {
    let Some(levels) = code_levels(ty, n).filter(|_| n >= 32) else {
        return crate::kv::expand(ty, n, low, high, out);
    };
    // SAFETY: 16 bytes are read from an array of 16.
    let table = unsafe { _mm_loadu_si128(levels.as_ptr().cast()) };
    let table = _mm256_broadcastsi128_si256(table);
    // Codes of b bits for 32 values are b words.
    let blocks = out.as_chunks_mut::<32>().0.iter_mut().zip(low.chunks_exact(ty.low_bits()));
    for (i, (out, low)) in blocks.enumerate() {
        let index = match (ty, high.get(i), low) {
            (KvType::Turbo3, Some(&high), &[a, b]) => _mm256_or_si256(index2(a, b), bits_to_fours(high)),
            (_, _, &[a, b]) => index2(a, b),
            (_, _, &[a, b, c, d]) => index4([a, b, c, d]),
            _ => return,
        };
        let levels = _mm256_shuffle_epi8(table, index);
        // SAFETY: 32 bytes are written to an array of 32.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), levels) };
    }
}

/// 32 nibbles to 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn index4(words: [u32; 4]) -> __m256i {
    // SAFETY: 16 bytes are read from an array of 16.
    let bytes: __m128i = unsafe { _mm_loadu_si128(words.as_ptr().cast()) };
    let wide = _mm256_cvtepu8_epi16(bytes);
    let spread = _mm256_or_si256(wide, _mm256_slli_epi16::<4>(wide));
    _mm256_and_si256(spread, _mm256_set1_epi8(0x0f))
}

/// 32 pairs of bits to 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn index2(a: u32, b: u32) -> __m256i {
    let words = [a, b];
    // SAFETY: 8 bytes are read from an array of 8.
    let bytes: __m128i = unsafe { _mm_loadl_epi64(words.as_ptr().cast()) };
    let wide = _mm256_cvtepu8_epi32(bytes);
    let spread = _mm256_or_si256(wide, _mm256_slli_epi32::<12>(wide));
    let spread = _mm256_or_si256(spread, _mm256_slli_epi32::<6>(spread));
    _mm256_and_si256(spread, _mm256_set1_epi8(0x03))
}

/// 32 bits to 32 bytes of 0 or 4.
#[inline]
#[target_feature(enable = "avx2")]
fn bits_to_fours(bits: u32) -> __m256i {
    let which = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
    let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits as i32), which);
    let mask = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, mask), mask);
    _mm256_and_si256(set, _mm256_set1_epi8(4))
}
