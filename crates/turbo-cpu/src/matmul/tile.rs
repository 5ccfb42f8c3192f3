//! Products of a panel of weight rows and a few token rows.
//!
//! One vector holds one row in each 32-bit part. The arithmetic of an output is that of
//! [`plain`](super::plain), with the eight lanes of every output in memory between blocks.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
use super::activations::COARSE_BITS;
use super::activations::{PackedBlock, TILE, Words};
#[cfg(target_arch = "x86_64")]
use super::avx2::join;
use super::panel::{BLOCK_WORDS, Panel};
use super::plain::LANES;
use super::plane::Shape;

/// Most rows of a panel.
pub(crate) const ROWS: usize = 32;

/// The blocks of a tile of tokens, and their second plane; empty unless the activations are wide.
pub(crate) type Tile<'a> = (&'a [PackedBlock], &'a [Words]);

/// What the tiles of a panel work with, one after the other.
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// `[lane][token][row]`; a tile does not read what the one before left.
    lanes: [[[f32; ROWS]; TILE]; LANES],
    /// Outputs of a tile: `[token][row]`.
    pub(crate) outputs: [[f32; ROWS]; TILE],
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { lanes: [[[0.0; ROWS]; TILE]; LANES], outputs: [[0.0; ROWS]; TILE] }
    }
}

macro_rules! tile_kernel {
    (
        $level:ident, $features:literal, lanes $lanes:literal, vectors $vectors:literal, tokens $most:literal,
        $words:ty, $int:ty, $float:ty,
        load $load:ident, load_ps $load_ps:ident, store_ps $store_ps:ident,
        set1 $set1:ident, set_sum $set_sum:ident, set1_ps $set1_ps:ident, zero_ps $zero_ps:ident,
        zero_words $zero_words:ident, zero $zero:ident, cvt $cvt:ident,
        add_ps $add_ps:ident, mul_ps $mul_ps:ident, fmadd $fmadd:ident, fnmadd $fnmadd:ident,
        biased $biased:literal, dot $dot:ident, join $join:ident
    ) => {
        pub(crate) mod $level {
            use super::*;

            /// Vectors that hold a column word of every row.
            const V: usize = $vectors;
            /// Rows of a panel of this level.
            pub(crate) const ROWS: usize = $lanes * V;

            /// Products of `panel` with the first `count` tokens of a tile.
            #[target_feature(enable = $features)]
            pub(crate) fn tile(panel: &Panel, shape: Shape, x: Tile<'_>, count: usize, scratch: &mut Scratch) {
                assert!(panel.rows == ROWS && panel.blocks == x.0.len() && count <= TILE);
                assert!(x.1.is_empty() || x.1.len() == x.0.len());
                let mut done = 0;
                while done < count {
                    match count - done {
                        // Two planes of two halves run faster in half as many registers.
                        n if n >= 8 && $most >= 8 && !(shape.halves && !x.1.is_empty()) => {
                            shaped::<8>(panel, shape, x, done, scratch);
                            done += 8;
                        }
                        n if n >= 4 => {
                            shaped::<4>(panel, shape, x, done, scratch);
                            done += 4;
                        }
                        n if n >= 2 => {
                            shaped::<2>(panel, shape, x, done, scratch);
                            done += 2;
                        }
                        _ => {
                            shaped::<1>(panel, shape, x, done, scratch);
                            done += 1;
                        }
                    }
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn shaped<const T: usize>(panel: &Panel, shape: Shape, x: Tile<'_>, first: usize, scratch: &mut Scratch) {
                match (shape.halves, shape.mins, !x.1.is_empty()) {
                    (false, false, false) => product::<T, false, false, false>(panel, x, first, scratch),
                    (false, true, false) => product::<T, false, true, false>(panel, x, first, scratch),
                    (true, false, false) => product::<T, true, false, false>(panel, x, first, scratch),
                    (true, true, false) => product::<T, true, true, false>(panel, x, first, scratch),
                    (false, false, true) => product::<T, false, false, true>(panel, x, first, scratch),
                    (false, true, true) => product::<T, false, true, true>(panel, x, first, scratch),
                    (true, false, true) => product::<T, true, false, true>(panel, x, first, scratch),
                    (true, true, true) => product::<T, true, true, true>(panel, x, first, scratch),
                }
            }

            /// Tokens `first .. first + T` of the tile.
            #[inline(never)]
            #[target_feature(enable = $features)]
            fn product<const T: usize, const HALVES: bool, const MINS: bool, const WIDE: bool>(
                panel: &Panel,
                (x, fine): Tile<'_>,
                first: usize,
                scratch: &mut Scratch,
            ) {
                assert!(first + T <= TILE);
                let words = panel.words.as_chunks::<{ BLOCK_WORDS * ROWS }>().0;
                for (block, (words, x)) in words.iter().zip(x).enumerate() {
                    let planes = [&x.words, if WIDE { &fine[block] } else { &x.words }];
                    let values = block_values::<T, HALVES, MINS, WIDE>(panel, block, words, x, planes, first);
                    let lane = &mut scratch.lanes[block % LANES];
                    for t in 0..T {
                        let scale = $set1_ps(x.scales[first + t]);
                        for v in 0..V {
                            let lane = &mut lane[t][v * $lanes..][..$lanes];
                            // SAFETY: `lane` is as long as a vector, here and below.
                            let before = if block < LANES { $zero_ps() } else { unsafe { $load_ps(lane.as_ptr()) } };
                            // SAFETY: as above.
                            unsafe { $store_ps(lane.as_mut_ptr(), $fmadd(values[t][v], scale, before)) };
                        }
                    }
                }
                let lanes = scratch.lanes.iter_mut().skip(panel.blocks);
                lanes.flat_map(|lane| &mut lane[..T]).for_each(|row| row.fill(0.0));
                for t in 0..T {
                    for v in 0..V {
                        // SAFETY: part of a row as long as a vector.
                        let lane = |i: usize| unsafe { $load_ps(scratch.lanes[i][t][v * $lanes..][..$lanes].as_ptr()) };
                        let pair = |a: usize, b: usize| $add_ps(lane(a), lane(b));
                        let (even, odd) = ($add_ps(pair(0, 4), pair(2, 6)), $add_ps(pair(1, 5), pair(3, 7)));
                        let row = &mut scratch.outputs[first + t][v * $lanes..][..$lanes];
                        // SAFETY: `row` is as long as a vector.
                        unsafe { $store_ps(row.as_mut_ptr(), $add_ps(even, odd)) };
                    }
                }
            }

            /// The products of a block, but for the scales of the tokens. Called in one place for each set of
            /// parameters, so that it is inlined: its result does not fit into the registers of a call.
            #[inline]
            #[target_feature(enable = $features)]
            fn block_values<const T: usize, const HALVES: bool, const MINS: bool, const WIDE: bool>(
                panel: &Panel,
                block: usize,
                words: &[u32; BLOCK_WORDS * ROWS],
                x: &PackedBlock,
                planes: [&Words; 2],
                first: usize,
            ) -> [[$float; V]; T] {
                let mut values = [[$zero_ps(); V]; T];
                let len = if HALVES { BLOCK_WORDS / 2 } else { BLOCK_WORDS };
                for part in 0..BLOCK_WORDS / len {
                    let biases = &x.biases[if HALVES { 1 + part } else { 0 }];
                    let mut dots = [[$zero(); V]; T];
                    // One plane after the other: with both at once the sums do not fit into registers.
                    for plane in 0..if WIDE { 2 } else { 1 } {
                        for t in 0..T {
                            let biased = $biased && (plane == 1 || !WIDE);
                            let start = if biased { $set_sum(biases[first + t]) } else { $zero() };
                            for v in 0..V {
                                dots[t][v] = if plane == 1 { $join(dots[t][v], start) } else { start };
                            }
                        }
                        for word in 0..len {
                            let word = part * len + word;
                            let mut w = [$zero_words(); V];
                            for v in 0..V {
                                let part = &words[word * ROWS + v * $lanes..][..$lanes];
                                // SAFETY: `part` is as long as a vector.
                                w[v] = unsafe { $load(part.as_ptr().cast()) };
                            }
                            for t in 0..T {
                                let codes = $set1(planes[plane][word][first + t]);
                                for v in 0..V {
                                    dots[t][v] = $dot(dots[t][v], w[v], codes);
                                }
                            }
                        }
                    }
                    let by = if part == 0 { &panel.low } else { &panel.high };
                    scale::<T>(&mut values, dots, scales(by, block), part == 1);
                }
                if HALVES && MINS {
                    subtract::<T>(&mut values, scales(&panel.min_low, block), &x.sums[1], first);
                    subtract::<T>(&mut values, scales(&panel.min_high, block), &x.sums[2], first);
                } else if MINS {
                    subtract::<T>(&mut values, scales(&panel.min_low, block), &x.sums[0], first);
                }
                values
            }

            /// The scales (or mins) of a block of every row.
            #[inline]
            #[target_feature(enable = $features)]
            fn scales(part: &[f32], block: usize) -> [$float; V] {
                let part = &part[block * ROWS..][..ROWS];
                let mut scales = [$zero_ps(); V];
                for (v, scale) in scales.iter_mut().enumerate() {
                    // SAFETY: `part` has `V` vectors.
                    *scale = unsafe { $load_ps(part.as_ptr().add(v * $lanes)) };
                }
                scales
            }

            /// `values = dots * scales`, or added to `values` in one rounding.
            #[inline]
            #[target_feature(enable = $features)]
            fn scale<const T: usize>(
                values: &mut [[$float; V]; T],
                dots: [[$int; V]; T],
                scales: [$float; V],
                add: bool,
            ) {
                for t in 0..T {
                    for v in 0..V {
                        let dot = $cvt(dots[t][v]);
                        values[t][v] = if add { $fmadd(dot, scales[v], values[t][v]) } else { $mul_ps(dot, scales[v]) };
                    }
                }
            }

            /// `values -= mins * sums`, in one rounding.
            #[inline]
            #[target_feature(enable = $features)]
            fn subtract<const T: usize>(
                values: &mut [[$float; V]; T],
                mins: [$float; V],
                sums: &[f32; TILE],
                first: usize,
            ) {
                for t in 0..T {
                    let sum = $set1_ps(sums[first + t]);
                    for v in 0..V {
                        values[t][v] = $fnmadd(mins[v], sum, values[t][v]);
                    }
                }
            }
        }
    };
}

/// The sums of the two planes of wide codes to one: `256 * first + second`.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn join_512(first: __m512i, second: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_slli_epi32::<COARSE_BITS>(first), second)
}

/// Adds products of signed bytes without VNNI: the sign of `w` moves to `x`. With codes of at most
/// 127 in magnitude no pair sum leaves 16 bits.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn add_maddubs(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

#[cfg(target_arch = "x86_64")]
tile_kernel!(
    maddubs, "avx2,fma,f16c", lanes 8, vectors 1, tokens 4, __m256i, __m256i, __m256,
    load _mm256_loadu_si256, load_ps _mm256_loadu_ps, store_ps _mm256_storeu_ps,
    set1 _mm256_set1_epi32, set_sum _mm256_set1_epi32, set1_ps _mm256_set1_ps, zero_ps _mm256_setzero_ps,
    zero_words _mm256_setzero_si256, zero _mm256_setzero_si256,
    cvt _mm256_cvtepi32_ps, add_ps _mm256_add_ps, mul_ps _mm256_mul_ps, fmadd _mm256_fmadd_ps,
    fnmadd _mm256_fnmadd_ps, biased false, dot add_maddubs, join join
);
#[cfg(target_arch = "x86_64")]
tile_kernel!(
    avxvnni, "avx2,fma,f16c,avxvnni", lanes 8, vectors 1, tokens 8, __m256i, __m256i, __m256,
    load _mm256_loadu_si256, load_ps _mm256_loadu_ps, store_ps _mm256_storeu_ps,
    set1 _mm256_set1_epi32, set_sum _mm256_set1_epi32, set1_ps _mm256_set1_ps, zero_ps _mm256_setzero_ps,
    zero_words _mm256_setzero_si256, zero _mm256_setzero_si256,
    cvt _mm256_cvtepi32_ps, add_ps _mm256_add_ps, mul_ps _mm256_mul_ps, fmadd _mm256_fmadd_ps,
    fnmadd _mm256_fnmadd_ps, biased true, dot _mm256_dpbusd_avx_epi32, join join
);
#[cfg(target_arch = "x86_64")]
tile_kernel!(
    avx512vnni, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni", lanes 16, vectors 2, tokens 8, __m512i, __m512i, __m512,
    load _mm512_loadu_si512, load_ps _mm512_loadu_ps, store_ps _mm512_storeu_ps,
    set1 _mm512_set1_epi32, set_sum _mm512_set1_epi32, set1_ps _mm512_set1_ps, zero_ps _mm512_setzero_ps,
    zero_words _mm512_setzero_si512, zero _mm512_setzero_si512,
    cvt _mm512_cvtepi32_ps, add_ps _mm512_add_ps, mul_ps _mm512_mul_ps, fmadd _mm512_fmadd_ps,
    fnmadd _mm512_fnmadd_ps, biased true, dot _mm512_dpbusd_epi32, join join_512
);

#[cfg(target_arch = "aarch64")]
use neon_steps::*;

/// The operations of the kernel that NEON spells otherwise.
#[cfg(target_arch = "aarch64")]
mod neon_steps {
    use std::arch::aarch64::*;

    pub(super) use super::super::neon::{dot_long, dot_sdot, join};

    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn load_words(at: *const u8) -> int8x16_t {
        // SAFETY: the caller has 16 bytes there.
        unsafe { vld1q_s8(at.cast()) }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn zero_words() -> int8x16_t {
        vdupq_n_s8(0)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn set_words(word: i32) -> int8x16_t {
        vreinterpretq_s8_s32(vdupq_n_s32(word))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn zero_sums() -> int32x4_t {
        vdupq_n_s32(0)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn zero_floats() -> float32x4_t {
        vdupq_n_f32(0.0)
    }

    /// `a * b + c`, rounded once.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn add_product(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        vfmaq_f32(c, a, b)
    }

    /// `c - a * b`, rounded once.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) fn subtract_product(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        vfmsq_f32(c, a, b)
    }
}

#[cfg(target_arch = "aarch64")]
tile_kernel!(
    neon_long, "neon", lanes 4, vectors 2, tokens 8, int8x16_t, int32x4_t, float32x4_t,
    load load_words, load_ps vld1q_f32, store_ps vst1q_f32,
    set1 set_words, set_sum vdupq_n_s32, set1_ps vdupq_n_f32, zero_ps zero_floats, zero_words zero_words, zero zero_sums,
    cvt vcvtq_f32_s32, add_ps vaddq_f32, mul_ps vmulq_f32, fmadd add_product,
    fnmadd subtract_product, biased false, dot dot_long, join join
);
#[cfg(target_arch = "aarch64")]
tile_kernel!(
    neon_sdot, "neon,dotprod", lanes 4, vectors 2, tokens 8, int8x16_t, int32x4_t, float32x4_t,
    load load_words, load_ps vld1q_f32, store_ps vst1q_f32,
    set1 set_words, set_sum vdupq_n_s32, set1_ps vdupq_n_f32, zero_ps zero_floats, zero_words zero_words, zero zero_sums,
    cvt vcvtq_f32_s32, add_ps vaddq_f32, mul_ps vmulq_f32, fmadd add_product,
    fnmadd subtract_product, biased false, dot dot_sdot, join join
);
