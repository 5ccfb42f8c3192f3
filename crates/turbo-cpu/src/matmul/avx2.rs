//! Products of one weight row and one token row with 256-bit vectors.
//!
//! Eight blocks of 32 columns make one vector of eight block sums, which is the vector of lanes of
//! [`plain`](super::plain). The kernels exist three times, for the three ways to multiply unsigned
//! by signed bytes; the fused ones read the ggml blocks directly and unpack in registers.

use std::arch::x86_64::*;

use turbo_gguf::GgmlType;

use super::activations::{BLOCK, COARSE_BITS, Int8Row};
use super::plain::{self, LANES};
use super::plane::{Planes, Shape};

/// A product of a row of ggml blocks and a token row. Unsafe to call without its level.
pub(crate) type Fused = unsafe fn(&[u8], &Int8Row<'_>) -> f32;

/// Columns of the eight blocks that fill the lanes.
const SUPER: usize = LANES * BLOCK;

/// `dots - 32 * sums`, in integers: with wide activations these leave the whole numbers of `f32`.
#[inline]
#[target_feature(enable = "avx2")]
fn minus_32_times(dots: __m256i, sums: __m256) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_sub_epi32(dots, _mm256_slli_epi32::<5>(_mm256_cvtps_epi32(sums))))
}

/// Sums of four products of unsigned and signed bytes. With codes of at most 127 in magnitude no
/// pair sum leaves 16 bits: 2 * 127 * 127 < 32768.
#[inline]
#[target_feature(enable = "avx2")]
fn dot_maddubs(unsigned: __m256i, signed: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_maddubs_epi16(unsigned, signed), _mm256_set1_epi16(1))
}

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn dot_avxvnni(unsigned: __m256i, signed: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), unsigned, signed)
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl,avx512vnni")]
fn dot_avx512vnni(unsigned: __m256i, signed: __m256i) -> __m256i {
    _mm256_dpbusd_epi32(_mm256_setzero_si256(), unsigned, signed)
}

/// Eight vectors of eight partial sums to the sums of their first and of their second halves.
#[inline]
#[target_feature(enable = "avx2")]
fn half_sums(d: [__m256i; 8]) -> (__m256i, __m256i) {
    let a = _mm256_hadd_epi32(_mm256_hadd_epi32(d[0], d[1]), _mm256_hadd_epi32(d[2], d[3]));
    let b = _mm256_hadd_epi32(_mm256_hadd_epi32(d[4], d[5]), _mm256_hadd_epi32(d[6], d[7]));
    (_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b))
}

#[inline]
#[target_feature(enable = "avx2")]
fn whole_sums(d: [__m256i; 8]) -> __m256 {
    let (low, high) = half_sums(d);
    _mm256_cvtepi32_ps(_mm256_add_epi32(low, high))
}

#[inline]
#[target_feature(enable = "avx2")]
fn lanes_of(acc: __m256) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    // SAFETY: eight floats fit in `lanes`.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), acc) };
    lanes
}

/// Eight floats of a slice that has them (checked by the slicing).
#[inline]
#[target_feature(enable = "avx2")]
fn load8(from: &[f32], at: usize) -> __m256 {
    let from: &[f32; 8] = from[at..].first_chunk().unwrap_or(&[0.0; 8]);
    // SAFETY: `from` has eight floats.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: `bytes` has 32 bytes.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// The two planes of codes of eight blocks of a token row; the second is read only if it is wide.
type SuperCodes<'a> = (&'a [i8; SUPER], &'a [i8; SUPER]);

/// The codes of a row, eight blocks at a time.
#[inline(always)]
fn supers<'a, const WIDE: bool>(x: &Int8Row<'a>) -> impl Iterator<Item = SuperCodes<'a>> {
    let fine = if WIDE { x.fine } else { x.codes };
    x.codes.as_chunks::<SUPER>().0.iter().zip(fine.as_chunks::<SUPER>().0)
}

/// The sums of the two planes of a wide row to one.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn join(first: __m256i, second: __m256i) -> __m256i {
    _mm256_add_epi32(_mm256_slli_epi32::<{ COARSE_BITS as i32 }>(first), second)
}

/// The codes of block `block` of a token row.
#[inline]
#[target_feature(enable = "avx2")]
fn load_codes(x: &[i8; SUPER], block: usize) -> __m256i {
    // SAFETY: callers name one of the eight blocks, which the array holds.
    unsafe { _mm256_loadu_si256(x.as_ptr().add(block * BLOCK).cast()) }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn f16_scalar(bytes: [u8; 2]) -> f32 {
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes(bytes)))))
}

/// Eight unsigned bytes times a scale.
#[inline]
#[target_feature(enable = "avx2")]
fn scaled_bytes(bytes: u64, scale: f32) -> __m256 {
    let wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes as i64));
    _mm256_mul_ps(_mm256_cvtepi32_ps(wide), _mm256_set1_ps(scale))
}

/// The 6-bit scales and mins of q4_K and q5_K, times their scales.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn six_bit_pairs(head: &[u8; 16]) -> (__m256, __m256) {
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (low, mid, high) = (word(4), word(8), word(12));
    let top = |word: u32| (word >> 2) & 0x3030_3030;
    let scales = u64::from(low & 0x3F3F_3F3F) | u64::from(high & 0x0F0F_0F0F | top(low)) << 32;
    let mins = u64::from(mid & 0x3F3F_3F3F) | u64::from((high >> 4) & 0x0F0F_0F0F | top(mid)) << 32;
    (scaled_bytes(scales, f16_scalar([head[0], head[1]])), scaled_bytes(mins, f16_scalar([head[2], head[3]])))
}

/// The sixteen signed 8-bit scales of q6_K times `d`: those of first halves, those of second halves.
#[inline]
#[target_feature(enable = "avx2")]
fn signed_scales(bytes: &[u8; 16], d: f32) -> (__m256, __m256) {
    // SAFETY: `bytes` has 16 bytes.
    let all = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    let split = _mm_shuffle_epi8(all, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    let (d, high) = (_mm256_set1_ps(d), _mm_unpackhi_epi64(split, split));
    let wide = |bytes| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    (_mm256_mul_ps(wide(split), d), _mm256_mul_ps(wide(high), d))
}

/// The f16 scales at the start of eight blocks of `B` bytes.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn leading_scales<const B: usize>(blocks: &[[u8; B]; 8]) -> __m256 {
    let bits: [u16; 8] = std::array::from_fn(|i| u16::from_le_bytes([blocks[i][0], blocks[i][1]]));
    // SAFETY: `bits` has 16 bytes.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bits.as_ptr().cast()) })
}

/// How far ahead of the arithmetic weights are requested. Hardware prefetchers stop at the end of
/// a 4 KiB page; this goes over it, into the rows that follow.
const AHEAD: usize = 3072;

/// Requests the cache lines that start in the `bytes` bytes [`AHEAD`] of `at`.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unused_unsafe, reason = "prefetching became a safe function in a later toolchain than the minimum")]
fn prefetch(at: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        // SAFETY: a request for an address outside the matrix does nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD + line).cast()) };
    }
}

/// Shift right of bytes; the bits that come from the neighbour must be masked off.
macro_rules! shift_right {
    ($v:expr, $by:literal) => {
        _mm256_srli_epi16::<$by>($v)
    };
}

/// The rows end in blocks that do not fill the lanes: those go through the plain step.
#[inline]
fn finish(acc: [f32; LANES], ty: GgmlType, shape: Shape, rest: &[u8], first: usize, x: &Int8Row<'_>) -> f32 {
    let mut lanes = acc;
    if !rest.is_empty() {
        let mut planes = Planes::default();
        let cols = rest.len() / ty.block_bytes() * ty.block_values();
        planes.resize(shape, cols);
        planes.expand(ty, cols, rest);
        for block in 0..planes.low.len() {
            plain::step(&planes, shape, block, x, first + block, &mut lanes);
        }
    }
    plain::fold(&lanes)
}

const WHOLE: Shape = Shape { halves: false, mins: false };

macro_rules! kernels {
    ($level:ident, $features:literal, $dot:ident) => {
        pub(crate) mod $level {
            use super::*;

            /// The fused kernel of a type, for wide activations or for others, if there is one.
            pub(crate) fn fused(ty: GgmlType, wide: bool) -> Option<Fused> {
                if wide { of_type::<true>(ty) } else { of_type::<false>(ty) }
            }

            fn of_type<const WIDE: bool>(ty: GgmlType) -> Option<Fused> {
                match ty {
                    GgmlType::Q4_0 => Some(q4_0::<WIDE>),
                    GgmlType::Q8_0 => Some(q8_0::<WIDE>),
                    GgmlType::Q4_K => Some(q4_k::<WIDE>),
                    GgmlType::Q5_K => Some(q5_k::<WIDE>),
                    GgmlType::Q6_K => Some(q6_k::<WIDE>),
                    _ => None,
                }
            }

            /// Products of unsigned codes and those of block `block`.
            #[inline]
            #[target_feature(enable = $features)]
            fn dot_block<const WIDE: bool>(w: __m256i, codes: SuperCodes<'_>, block: usize) -> __m256i {
                let first = $dot(w, load_codes(codes.0, block));
                if WIDE { join(first, $dot(w, load_codes(codes.1, block))) } else { first }
            }

            /// Products of signed codes and those of block `block`.
            #[inline]
            #[target_feature(enable = $features)]
            fn dot_signed_block<const WIDE: bool>(w: __m256i, codes: SuperCodes<'_>, block: usize) -> __m256i {
                let first = dot_signed(w, load_codes(codes.0, block));
                if WIDE { join(first, dot_signed(w, load_codes(codes.1, block))) } else { first }
            }

            /// Products of signed bytes: the sign of `w` moves to `x`.
            #[inline]
            #[target_feature(enable = $features)]
            fn dot_signed(w: __m256i, x: __m256i) -> __m256i {
                $dot(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
            }

            /// Any type, from its planes; see [`plain::row`].
            #[target_feature(enable = $features)]
            pub(crate) fn row(planes: &Planes, shape: Shape, x: &Int8Row<'_>) -> f32 {
                if x.fine.is_empty() { row_of::<false>(planes, shape, x) } else { row_of::<true>(planes, shape, x) }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn row_of<const WIDE: bool>(planes: &Planes, shape: Shape, x: &Int8Row<'_>) -> f32 {
                let mut acc = _mm256_setzero_ps();
                let (weights, _) = planes.codes.as_chunks::<SUPER>();
                for (i, (w, codes)) in weights.iter().zip(supers::<WIDE>(x)).enumerate() {
                    let at = i * LANES;
                    let mut dots = [_mm256_setzero_si256(); 8];
                    for (b, dot) in dots.iter_mut().enumerate() {
                        *dot = dot_signed_block::<WIDE>(load_codes(w, b), codes, b);
                    }
                    let mut t;
                    if shape.halves {
                        let (low, high) = half_sums(dots);
                        t = _mm256_mul_ps(_mm256_cvtepi32_ps(low), load8(&planes.low, at));
                        t = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), load8(&planes.high, at), t);
                        if shape.mins {
                            t = _mm256_fnmadd_ps(load8(&planes.min_low, at), load8(x.low, at), t);
                            t = _mm256_fnmadd_ps(load8(&planes.min_high, at), load8(x.high, at), t);
                        }
                    } else {
                        t = _mm256_mul_ps(whole_sums(dots), load8(&planes.low, at));
                        if shape.mins {
                            t = _mm256_fnmadd_ps(load8(&planes.min_low, at), load8(x.sums, at), t);
                        }
                    }
                    acc = _mm256_fmadd_ps(t, load8(x.scales, at), acc);
                }
                let mut lanes = lanes_of(acc);
                for block in weights.len() * LANES..planes.low.len() {
                    plain::step(planes, shape, block, x, block, &mut lanes);
                }
                plain::fold(&lanes)
            }

            #[target_feature(enable = $features)]
            fn q8_0<const WIDE: bool>(row: &[u8], x: &Int8Row<'_>) -> f32 {
                let mut acc = _mm256_setzero_ps();
                let (blocks, _) = row.as_chunks::<34>();
                let (blocks, rest) = blocks.as_chunks::<8>();
                for (i, (blocks, codes)) in blocks.iter().zip(supers::<WIDE>(x)).enumerate() {
                    prefetch(blocks.as_ptr().cast(), 272);
                    // expand() takes a code of -128 as -127, and so must this.
                    let least = _mm256_set1_epi8(-127);
                    let mut dots = [_mm256_setzero_si256(); 8];
                    for (b, (dot, block)) in dots.iter_mut().zip(blocks).enumerate() {
                        let w = load32(block.last_chunk().unwrap_or(&[0; 32]));
                        *dot = dot_signed_block::<WIDE>(_mm256_max_epi8(w, least), codes, b);
                    }
                    let t = _mm256_mul_ps(whole_sums(dots), leading_scales(blocks));
                    acc = _mm256_fmadd_ps(t, load8(x.scales, i * LANES), acc);
                }
                let first = blocks.len() * LANES;
                finish(lanes_of(acc), GgmlType::Q8_0, WHOLE, rest.as_flattened(), first, x)
            }

            #[target_feature(enable = $features)]
            fn q4_0<const WIDE: bool>(row: &[u8], x: &Int8Row<'_>) -> f32 {
                let mut acc = _mm256_setzero_ps();
                let (blocks, _) = row.as_chunks::<18>();
                let (blocks, rest) = blocks.as_chunks::<8>();
                let mask = _mm256_set1_epi8(15);
                for (i, (blocks, codes)) in blocks.iter().zip(supers::<WIDE>(x)).enumerate() {
                    prefetch(blocks.as_ptr().cast(), 144);
                    let mut dots = [_mm256_setzero_si256(); 8];
                    for (b, (dot, block)) in dots.iter_mut().zip(blocks).enumerate() {
                        let bytes: &[u8; 16] = block.last_chunk().unwrap_or(&[0; 16]);
                        // SAFETY: `bytes` has 16 bytes.
                        let packed = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
                        let both = _mm256_set_m128i(_mm_srli_epi16::<4>(packed), packed);
                        *dot = dot_block::<WIDE>(_mm256_and_si256(both, mask), codes, b);
                    }
                    let (sums, at) = (whole_sums(dots), i * LANES);
                    // The codes are 8 less; whole numbers below 15 * 32 * 32,512 < 2^24: this is exact.
                    let sums = _mm256_fnmadd_ps(_mm256_set1_ps(8.0), load8(x.sums, at), sums);
                    let t = _mm256_mul_ps(sums, leading_scales(blocks));
                    acc = _mm256_fmadd_ps(t, load8(x.scales, at), acc);
                }
                let first = blocks.len() * LANES;
                finish(lanes_of(acc), GgmlType::Q4_0, WHOLE, rest.as_flattened(), first, x)
            }

            #[target_feature(enable = $features)]
            fn q4_k<const WIDE: bool>(row: &[u8], x: &Int8Row<'_>) -> f32 {
                let mut acc = _mm256_setzero_ps();
                let mask = _mm256_set1_epi8(15);
                for (i, (block, codes)) in row.as_chunks::<144>().0.iter().zip(supers::<WIDE>(x)).enumerate() {
                    prefetch(block.as_ptr(), 144);
                    let (head, packed) = block.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
                    let mut dots = [_mm256_setzero_si256(); 8];
                    for (pair, bytes) in packed.as_chunks::<32>().0.iter().enumerate() {
                        let both = load32(bytes);
                        let low = _mm256_and_si256(both, mask);
                        let high = _mm256_and_si256(shift_right!(both, 4), mask);
                        dots[2 * pair] = dot_block::<WIDE>(low, codes, 2 * pair);
                        dots[2 * pair + 1] = dot_block::<WIDE>(high, codes, 2 * pair + 1);
                    }
                    acc = with_mins(acc, dots, head, x, i * LANES);
                }
                plain::fold(&lanes_of(acc))
            }

            #[target_feature(enable = $features)]
            fn q5_k<const WIDE: bool>(row: &[u8], x: &Int8Row<'_>) -> f32 {
                let mut acc = _mm256_setzero_ps();
                let (mask, one) = (_mm256_set1_epi8(15), _mm256_set1_epi8(1));
                for (i, (block, codes)) in row.as_chunks::<176>().0.iter().zip(supers::<WIDE>(x)).enumerate() {
                    prefetch(block.as_ptr(), 176);
                    let (head, rest) = block.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
                    let (fifth, packed) = rest.split_first_chunk::<32>().unwrap_or((&[0; 32], &[]));
                    let mut fifth = load32(fifth);
                    let mut dots = [_mm256_setzero_si256(); 8];
                    for (pair, bytes) in packed.as_chunks::<32>().0.iter().enumerate() {
                        let both = load32(bytes);
                        let first = _mm256_slli_epi16::<4>(_mm256_and_si256(fifth, one));
                        let second = _mm256_slli_epi16::<4>(_mm256_and_si256(shift_right!(fifth, 1), one));
                        let low = _mm256_or_si256(_mm256_and_si256(both, mask), first);
                        let high = _mm256_or_si256(_mm256_and_si256(shift_right!(both, 4), mask), second);
                        dots[2 * pair] = dot_block::<WIDE>(low, codes, 2 * pair);
                        dots[2 * pair + 1] = dot_block::<WIDE>(high, codes, 2 * pair + 1);
                        fifth = shift_right!(fifth, 2);
                    }
                    acc = with_mins(acc, dots, head, x, i * LANES);
                }
                plain::fold(&lanes_of(acc))
            }

            /// The float part of q4_K and q5_K.
            #[inline]
            #[target_feature(enable = $features)]
            fn with_mins(acc: __m256, dots: [__m256i; 8], head: &[u8; 16], x: &Int8Row<'_>, at: usize) -> __m256 {
                let (scales, mins) = six_bit_pairs(head);
                let t = _mm256_mul_ps(whole_sums(dots), scales);
                let t = _mm256_fnmadd_ps(mins, load8(x.sums, at), t);
                _mm256_fmadd_ps(t, load8(x.scales, at), acc)
            }

            #[target_feature(enable = $features)]
            fn q6_k<const WIDE: bool>(row: &[u8], x: &Int8Row<'_>) -> f32 {
                let mut acc = _mm256_setzero_ps();
                let (mask, pair) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0x30));
                for (i, (block, codes)) in row.as_chunks::<210>().0.iter().zip(supers::<WIDE>(x)).enumerate() {
                    prefetch(block.as_ptr(), 210);
                    let (parts, _) = block.as_chunks::<32>();
                    let mut dots = [_mm256_setzero_si256(); 8];
                    for half in 0..2 {
                        let (a, b) = (load32(&parts[2 * half]), load32(&parts[2 * half + 1]));
                        let h = load32(&parts[4 + half]);
                        let top = [_mm256_slli_epi16::<4>(h), _mm256_slli_epi16::<2>(h), h, shift_right!(h, 2)];
                        let low = [a, b, shift_right!(a, 4), shift_right!(b, 4)];
                        for run in 0..4 {
                            let top = _mm256_and_si256(top[run], pair);
                            let w = _mm256_or_si256(_mm256_and_si256(low[run], mask), top);
                            dots[4 * half + run] = dot_block::<WIDE>(w, codes, 4 * half + run);
                        }
                    }
                    let small: &[u8; 16] = block[192..].first_chunk().unwrap_or(&[0; 16]);
                    let (low, high) = signed_scales(small, f16_scalar([block[208], block[209]]));
                    let (first, second) = half_sums(dots);
                    let at = i * LANES;
                    // The codes are 32 less.
                    let first = minus_32_times(first, load8(x.low, at));
                    let second = minus_32_times(second, load8(x.high, at));
                    let t = _mm256_fmadd_ps(second, high, _mm256_mul_ps(first, low));
                    acc = _mm256_fmadd_ps(t, load8(x.scales, at), acc);
                }
                plain::fold(&lanes_of(acc))
            }
        }
    };
}

kernels!(maddubs, "avx2,fma,f16c", dot_maddubs);
kernels!(avxvnni, "avx2,fma,f16c,avxvnni", dot_avxvnni);
kernels!(avx512vnni, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni", dot_avx512vnni);
