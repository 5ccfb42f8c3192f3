//! The SIMD kernels of [`float`](super::float): a few rows by a few tokens, all sums in registers.

use super::activations::Activations;
use super::float::{BF16, F16, F32, LANES, Put, Rows, finish, size};

/// Sixteen lanes in one 512-bit vector.
#[cfg(target_arch = "x86_64")]
mod v512 {
    use std::arch::x86_64::*;

    use super::{BF16, F16, F32, LANES};

    pub(super) type V = __m512;

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn zero() -> V {
        _mm512_setzero_ps()
    }

    /// # Safety
    /// `at` points to 16 weights of the kind.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn load<const KIND: u8>(at: *const u8) -> V {
        // SAFETY: the caller's promise; unaligned loads.
        unsafe {
            match KIND {
                F32 => _mm512_loadu_ps(at.cast()),
                F16 => _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())),
                BF16 => {
                    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()))))
                }
                _ => zero(),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn add_product(sum: V, a: V, b: V) -> V {
        _mm512_fmadd_ps(a, b, sum)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn lanes(v: V) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: sixteen floats fit in `lanes`.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), v) };
        lanes
    }
}

/// Sixteen lanes in two 256-bit vectors.
#[cfg(target_arch = "x86_64")]
mod v256 {
    use std::arch::x86_64::*;

    use super::{BF16, F16, F32, LANES};

    pub(super) type V = [__m256; 2];

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn zero() -> V {
        [_mm256_setzero_ps(); 2]
    }

    /// # Safety
    /// `at` points to 16 weights of the kind.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn load<const KIND: u8>(at: *const u8) -> V {
        // SAFETY: the caller's promise; unaligned loads.
        unsafe {
            match KIND {
                F32 => [_mm256_loadu_ps(at.cast()), _mm256_loadu_ps(at.add(32).cast())],
                F16 => {
                    [_mm256_cvtph_ps(_mm_loadu_si128(at.cast())), _mm256_cvtph_ps(_mm_loadu_si128(at.add(16).cast()))]
                }
                BF16 => [widen(_mm_loadu_si128(at.cast())), widen(_mm_loadu_si128(at.add(16).cast()))],
                _ => zero(),
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn widen(bf16: __m128i) -> __m256 {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bf16)))
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn add_product(sum: V, a: V, b: V) -> V {
        [_mm256_fmadd_ps(a[0], b[0], sum[0]), _mm256_fmadd_ps(a[1], b[1], sum[1])]
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn lanes(v: V) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: sixteen floats fit in `lanes`.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), v[0]);
            _mm256_storeu_ps(lanes.as_mut_ptr().add(8), v[1]);
        }
        lanes
    }
}

/// Sixteen lanes in four 128-bit vectors.
#[cfg(target_arch = "aarch64")]
mod v128 {
    use std::arch::aarch64::*;

    use super::{BF16, F16, F32, LANES};

    pub(super) type V = [float32x4_t; 4];

    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn zero() -> V {
        [vdupq_n_f32(0.0); 4]
    }

    /// # Safety
    /// `at` points to 16 weights of the kind.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn load<const KIND: u8>(at: *const u8) -> V {
        let mut v = zero();
        for (part, v) in v.iter_mut().enumerate() {
            // SAFETY: the caller's promise; these loads take any alignment of bytes.
            *v = unsafe {
                match KIND {
                    F32 => vreinterpretq_f32_u8(vld1q_u8(at.add(16 * part))),
                    F16 => widen_f16(vreinterpret_u16_u8(vld1_u8(at.add(8 * part)))),
                    BF16 => vreinterpretq_f32_u32(vshll_n_u16::<16>(vreinterpret_u16_u8(vld1_u8(at.add(8 * part))))),
                    _ => *v,
                }
            };
        }
        v
    }

    /// Four f16 to f32 by integer steps, exact: the conversion instruction has no stable intrinsic
    /// in the oldest supported toolchain. A shift puts the exponent 112 too low, which a
    /// multiplication by 2^112 corrects, subnormal numbers included; infinities and NaN are patched.
    #[inline]
    #[target_feature(enable = "neon")]
    fn widen_f16(bits: uint16x4_t) -> float32x4_t {
        let wide = vmovl_u16(bits);
        let sign = vshlq_n_u32::<16>(vandq_u32(wide, vdupq_n_u32(0x8000)));
        let magnitude = vshlq_n_u32::<13>(vandq_u32(wide, vdupq_n_u32(0x7FFF)));
        let scaled = vmulq_f32(vreinterpretq_f32_u32(magnitude), vdupq_n_f32(f32::from_bits((127 + 112) << 23)));
        let special = vcgeq_u32(magnitude, vdupq_n_u32(0x0F80_0000));
        let patched = vorrq_u32(magnitude, vdupq_n_u32(0x7F80_0000));
        vreinterpretq_f32_u32(vorrq_u32(vbslq_u32(special, patched, vreinterpretq_u32_f32(scaled)), sign))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn add_product(sum: V, a: V, b: V) -> V {
        let mut sum = sum;
        for i in 0..4 {
            sum[i] = vfmaq_f32(sum[i], a[i], b[i]);
        }
        sum
    }

    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn lanes(v: V) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        for (lanes, v) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(v) {
            // SAFETY: four floats fit.
            unsafe { vst1q_f32(lanes.as_mut_ptr(), v) };
        }
        lanes
    }
}

macro_rules! float_kernels {
    ($level:ident, $features:literal, $v:ident, rows $rows:literal, tokens $tokens:literal) => {
        pub(crate) mod $level {
            use super::*;

            /// See [`products`](super::super::float::products).
            #[target_feature(enable = $features)]
            pub(crate) fn products<const KIND: u8>(rows: &Rows<'_>, x: &Activations, put: Put<'_>) {
                let full = x.tokens - x.tokens % $tokens;
                let count = rows.count();
                // Rows of a whole tile; four rows also keep the adders busy with one token.
                let fours = count - count % 4;
                // The rows of a task stay in the second-level cache while the tokens pass by.
                for token in (0..full).step_by($tokens) {
                    for row in (0..fours).step_by($rows) {
                        tile::<KIND, $rows, $tokens>(rows, row, x, token, put);
                    }
                    for row in fours..count {
                        tile::<KIND, 1, $tokens>(rows, row, x, token, put);
                    }
                }
                for token in full..x.tokens {
                    for row in (0..fours).step_by(4) {
                        tile::<KIND, 4, 1>(rows, row, x, token, put);
                    }
                    for row in fours..count {
                        tile::<KIND, 1, 1>(rows, row, x, token, put);
                    }
                }
            }

            #[target_feature(enable = $features)]
            fn tile<const KIND: u8, const R: usize, const T: usize>(
                rows: &Rows<'_>,
                row: usize,
                x: &Activations,
                token: usize,
                put: Put<'_>,
            ) {
                let w: [&[u8]; R] = std::array::from_fn(|r| rows.row(row + r));
                let inputs: [&[f32]; T] = std::array::from_fn(|t| x.float_row(token + t));
                let cols = rows.cols;
                assert!(cols * size(KIND) == rows.row_bytes && cols == x.cols);
                let mut sums = [[$v::zero(); T]; R];
                let whole = cols - cols % LANES;
                for col in (0..whole).step_by(LANES) {
                    let mut values = [$v::zero(); T];
                    for t in 0..T {
                        // SAFETY: 16 columns from `col` are inside the row, by the check above.
                        values[t] = unsafe { $v::load::<F32>(inputs[t].as_ptr().add(col).cast()) };
                    }
                    for r in 0..R {
                        // SAFETY: as above.
                        let weights = unsafe { $v::load::<KIND>(w[r].as_ptr().add(col * size(KIND))) };
                        for t in 0..T {
                            sums[r][t] = $v::add_product(sums[r][t], weights, values[t]);
                        }
                    }
                }
                for r in 0..R {
                    for t in 0..T {
                        put(row + r, token + t, finish::<KIND>($v::lanes(sums[r][t]), w[r], inputs[t], whole));
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
float_kernels!(avx2, "avx2,fma,f16c", v256, rows 2, tokens 3);
#[cfg(target_arch = "x86_64")]
float_kernels!(avx512, "avx2,fma,f16c,avx512f", v512, rows 4, tokens 6);
#[cfg(target_arch = "aarch64")]
float_kernels!(neon, "neon", v128, rows 2, tokens 3);
