//! Run-time choice of instructions. Every path gives the same bits; tests compare them.

use crate::kv::{
    Fault, QueryCodes, decode_head_body, encode_head_body, levels_head_body, quantize_query_body,
};
use crate::kv_type::KvType;
use crate::turbo::rotate::{Direction, rotate_head_body};

/// Compiles a body a second time with AVX2 and calls that copy where the processor has it.
///
/// The body is plain Rust; only the width of the instructions differs, and none of them fuses.
macro_rules! widened {
    ($name:ident = $body:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?) => {
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $body($($arg),*)
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}

widened!(rotate_head = rotate_head_body(x: &mut [f32], direction: Direction));
widened!(encode_head = encode_head_body(
    ty: KvType, head: &[f32], codes: &mut [u32], scales: &mut [u16]
) -> Result<(), Fault>);
widened!(decode_head = decode_head_body(
    ty: KvType, codes: &[u32], scales: &[u16], out: &mut [f32], rotated: bool
));
widened!(quantize_query = quantize_query_body(
    head: &[f32], wide: bool, q: &mut [i16], scratch: &mut [f32]
) -> Result<QueryCodes, Fault>);

pub(crate) fn levels_head(ty: KvType, codes: &[u32], out: &mut [i8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { x86::levels_head(ty, codes, out) };
    }
    levels_head_body(ty, codes, out);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_and_si256,
        _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_cvtepu8_epi16,
        _mm256_cvtepu8_epi32, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi32,
        _mm256_set1_epi64x, _mm256_setr_epi64x, _mm256_shuffle_epi8, _mm256_slli_epi16,
        _mm256_slli_epi32, _mm256_storeu_si256,
    };

    use crate::kv::levels::{code_levels, each_group, expand};
    use crate::kv_type::KvType;

    /// The AVX2 twin of `levels_head_body`.
    #[target_feature(enable = "avx2")]
    pub(super) fn levels_head(ty: KvType, codes: &[u32], out: &mut [i8]) {
        each_group(ty, codes, out, |ty, n, low, high, out| expand_group(ty, n, low, high, out));
    }

    #[target_feature(enable = "avx2")]
    fn expand_group(ty: KvType, n: usize, low: &[u32], high: &[u32], out: &mut [i8]) {
        let Some(levels) = code_levels(ty, n).filter(|_| n >= 32) else {
            return expand(ty, n, low, high, out);
        };
        // SAFETY: 16 bytes are read from an array of 16.
        let table = unsafe { _mm_loadu_si128(levels.as_ptr().cast()) };
        let table = _mm256_broadcastsi128_si256(table);
        // Codes of b bits for 32 values are b words.
        let blocks = out.as_chunks_mut::<32>().0.iter_mut().zip(low.chunks_exact(ty.low_bits()));
        for (i, (out, low)) in blocks.enumerate() {
            let index = match (ty, high.get(i), low) {
                (KvType::Turbo3, Some(&high), &[a, b]) => {
                    _mm256_or_si256(index2(a, b), bits_to_fours(high))
                }
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
    #[target_feature(enable = "avx2")]
    fn index4(words: [u32; 4]) -> __m256i {
        // SAFETY: 16 bytes are read from an array of 16.
        let bytes: __m128i = unsafe { _mm_loadu_si128(words.as_ptr().cast()) };
        let wide = _mm256_cvtepu8_epi16(bytes);
        let spread = _mm256_or_si256(wide, _mm256_slli_epi16::<4>(wide));
        _mm256_and_si256(spread, _mm256_set1_epi8(0x0f))
    }

    /// 32 pairs of bits to 32 bytes.
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
    #[target_feature(enable = "avx2")]
    fn bits_to_fours(bits: u32) -> __m256i {
        let which = _mm256_setr_epi64x(
            0,
            0x0101_0101_0101_0101,
            0x0202_0202_0202_0202,
            0x0303_0303_0303_0303,
        );
        let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits as i32), which);
        let mask = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, mask), mask);
        _mm256_and_si256(set, _mm256_set1_epi8(4))
    }
}
