//! Products of one weight row and one token row with NEON, from the planes of the row.
//!
//! Four blocks of 32 columns fill a vector of block sums; two such vectors are the lanes of
//! [`plain`]. The kernels exist twice, with and without the dot product instructions.

use std::arch::aarch64::*;

use super::activations::{BLOCK, COARSE_BITS, Int8Row};
use super::plain::{self, LANES};
use super::plane::{Planes, Shape};

/// Columns of the eight blocks that fill the lanes.
const SUPER: usize = LANES * BLOCK;

/// Adds four products of signed bytes to each of four sums, without dot product instructions.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn dot_long(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    let high = vpaddlq_s16(vmull_high_s8(a, b));
    vaddq_s32(sum, vpaddq_s32(low, high))
}

/// Adds four products of signed bytes to each of four sums.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn dot_sdot(sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: SDOT reads and writes these registers only. Its intrinsic is not stable in the
    // oldest supported toolchain.
    unsafe {
        std::arch::asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// The sums of the two planes of wide codes to one: `256 * first + second`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn join(first: int32x4_t, second: int32x4_t) -> int32x4_t {
    vaddq_s32(vshlq_n_s32::<{ COARSE_BITS as i32 }>(first), second)
}

/// Sixteen codes of a row, the first or second half of block `block`.
#[inline]
#[target_feature(enable = "neon")]
fn load_half(codes: &[i8; SUPER], block: usize, half: usize) -> int8x16_t {
    // SAFETY: callers name one of the eight blocks and one of its halves, which the array holds.
    unsafe { vld1q_s8(codes.as_ptr().add(block * BLOCK + half * BLOCK / 2)) }
}

/// Four floats of a slice that has them.
#[inline]
#[target_feature(enable = "neon")]
fn load4(from: &[f32], at: usize) -> float32x4_t {
    let from: &[f32; 4] = from[at..].first_chunk().unwrap_or(&[0.0; 4]);
    // SAFETY: `from` has four floats.
    unsafe { vld1q_f32(from.as_ptr()) }
}

/// The sums of four vectors.
#[inline]
#[target_feature(enable = "neon")]
fn sums(d: [int32x4_t; 4]) -> float32x4_t {
    vcvtq_f32_s32(vpaddq_s32(vpaddq_s32(d[0], d[1]), vpaddq_s32(d[2], d[3])))
}

macro_rules! row_kernel {
    ($name:ident, $features:literal, $dot:ident) => {
        /// Any type, from its planes; see [`plain::row`].
        #[target_feature(enable = $features)]
        pub(super) fn $name(planes: &Planes, shape: Shape, x: &Int8Row<'_>) -> f32 {
            let mut acc = [vdupq_n_f32(0.0); 2];
            let wide = !x.fine.is_empty();
            let (weights, _) = planes.codes.as_chunks::<SUPER>();
            let (codes, _) = x.codes.as_chunks::<SUPER>();
            // The second plane is read only if there is one.
            let (fine, _) = if wide { x.fine } else { x.codes }.as_chunks::<SUPER>();
            for (i, (w, (codes, fine))) in weights.iter().zip(codes.iter().zip(fine)).enumerate() {
                for (quad, acc) in acc.iter_mut().enumerate() {
                    let at = i * LANES + quad * 4;
                    let mut low = [vdupq_n_s32(0); 4];
                    let mut high = [vdupq_n_s32(0); 4];
                    for b in 0..4 {
                        let block = quad * 4 + b;
                        let (first, second) = (load_half(w, block, 0), load_half(w, block, 1));
                        low[b] = $dot(low[b], first, load_half(codes, block, 0));
                        // Without scales of halves both halves go into one sum.
                        let start = if shape.halves || wide { high[b] } else { low[b] };
                        high[b] = $dot(start, second, load_half(codes, block, 1));
                        if wide {
                            let zero = vdupq_n_s32(0);
                            low[b] = $dot(join(low[b], zero), first, load_half(fine, block, 0));
                            let start = if shape.halves { zero } else { low[b] };
                            high[b] = $dot(join(high[b], start), second, load_half(fine, block, 1));
                        }
                    }
                    let mut t;
                    if shape.halves {
                        t = vmulq_f32(sums(low), load4(&planes.low, at));
                        t = vfmaq_f32(t, sums(high), load4(&planes.high, at));
                        if shape.mins {
                            t = vfmsq_f32(t, load4(&planes.min_low, at), load4(x.low, at));
                            t = vfmsq_f32(t, load4(&planes.min_high, at), load4(x.high, at));
                        }
                    } else {
                        t = vmulq_f32(sums(high), load4(&planes.low, at));
                        if shape.mins {
                            t = vfmsq_f32(t, load4(&planes.min_low, at), load4(x.sums, at));
                        }
                    }
                    *acc = vfmaq_f32(*acc, t, load4(x.scales, at));
                }
            }
            let mut lanes = [0.0; LANES];
            for (lanes, acc) in lanes.as_chunks_mut::<4>().0.iter_mut().zip(acc) {
                // SAFETY: four floats fit.
                unsafe { vst1q_f32(lanes.as_mut_ptr(), acc) };
            }
            for block in weights.len() * LANES..planes.low.len() {
                plain::step(planes, shape, block, x, block, &mut lanes);
            }
            plain::fold(&lanes)
        }
    };
}

row_kernel!(row_long, "neon", dot_long);
row_kernel!(row_sdot, "neon,dotprod", dot_sdot);
