//! Products of a panel of weight rows and a few token rows, on x86-64.
//!
//! One vector holds one row in each 32-bit part. The arithmetic of an output is that of
//! [`plain`](super::plain), with the eight lanes of every output in memory between blocks.

use std::arch::x86_64::*;

use super::activations::{Activations, BLOCK};
use super::panel::{BLOCK_WORDS, Panel};
use super::plain::LANES;
use super::plane::Shape;

/// Most tokens of a tile.
pub(crate) const TOKENS: usize = 8;
/// Most rows of a panel.
pub(crate) const ROWS: usize = 16;

/// Outputs of a tile: `[token][row]`.
pub(crate) type Outputs = [[f32; ROWS]; TOKENS];

/// Pointers to the int8 form of a token's row.
#[derive(Clone, Copy)]
struct Token {
    codes: *const i8,
    scales: *const f32,
    sums: [*const f32; 3],
    biases: [*const i32; 3],
}

impl Token {
    fn of(x: &Activations, token: usize) -> Self {
        let from = token * x.blocks;
        let part = |part: &[f32]| part[from..from + x.blocks].as_ptr();
        let bias = |part: &[i32]| part[from..from + x.blocks].as_ptr();
        Self {
            codes: x.codes[token * x.code_stride..][..x.blocks * BLOCK].as_ptr(),
            scales: part(&x.scales),
            sums: [part(&x.sums.whole), part(&x.sums.low), part(&x.sums.high)],
            biases: [bias(&x.biases.whole), bias(&x.biases.low), bias(&x.biases.high)],
        }
    }
}

macro_rules! tile_kernel {
    (
        $level:ident, $features:literal, rows $rows:literal, tokens $most:literal,
        $int:ty, $float:ty,
        load $load:ident, load_ps $load_ps:ident, store_ps $store_ps:ident,
        set1 $set1:ident, set1_ps $set1_ps:ident, zero_ps $zero_ps:ident, zero $zero:ident, cvt $cvt:ident,
        add_ps $add_ps:ident, mul_ps $mul_ps:ident, fmadd $fmadd:ident, fnmadd $fnmadd:ident,
        biased $biased:literal, dot $dot:ident
    ) => {
        pub(crate) mod $level {
            use super::*;

            /// Products of `panel` with the tokens `first .. first + count`, `count` at most
            /// [`TOKENS`].
            #[target_feature(enable = $features)]
            pub(crate) fn tile(panel: &Panel, shape: Shape, x: &Activations, first: usize, count: usize, out: &mut Outputs) {
                assert!(panel.rows == $rows && panel.blocks <= x.blocks && first + count <= x.tokens && count <= TOKENS);
                let mut done = 0;
                while done < count {
                    let out = &mut out[done..];
                    let take = match count - done {
                        n if n >= 8 && $most >= 8 => 8,
                        n if n >= 4 => 4,
                        n if n >= 2 => 2,
                        _ => 1,
                    };
                    match take {
                        8 => shaped::<8>(panel, shape, x, first + done, out),
                        4 => shaped::<4>(panel, shape, x, first + done, out),
                        2 => shaped::<2>(panel, shape, x, first + done, out),
                        _ => shaped::<1>(panel, shape, x, first + done, out),
                    }
                    done += take;
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn shaped<const T: usize>(panel: &Panel, shape: Shape, x: &Activations, first: usize, out: &mut [[f32; ROWS]]) {
                match (shape.halves, shape.mins) {
                    (false, false) => product::<T, false, false>(panel, x, first, out),
                    (false, true) => product::<T, false, true>(panel, x, first, out),
                    (true, false) => product::<T, true, false>(panel, x, first, out),
                    (true, true) => product::<T, true, true>(panel, x, first, out),
                }
            }

            #[target_feature(enable = $features)]
            fn product<const T: usize, const HALVES: bool, const MINS: bool>(
                panel: &Panel,
                x: &Activations,
                first: usize,
                out: &mut [[f32; ROWS]],
            ) {
                let tokens: [Token; T] = std::array::from_fn(|t| Token::of(x, first + t));
                let mut lanes = [[$zero_ps(); T]; LANES];
                for block in 0..panel.blocks {
                    let words = &panel.words[block * BLOCK_WORDS * $rows..][..BLOCK_WORDS * $rows];
                    let scales = |part: &[f32]| {
                        let part = &part[block * $rows..][..$rows];
                        // SAFETY: `part` fills a vector.
                        unsafe { $load_ps(part.as_ptr()) }
                    };
                    let mut values;
                    if HALVES {
                        let (low, high) = (scales(&panel.low), scales(&panel.high));
                        let dots = sums::<T, { BLOCK_WORDS / 2 }>(words, &tokens, block, 0, 1);
                        values = dots.map(|dot| $mul_ps($cvt(dot), low));
                        let dots = sums::<T, { BLOCK_WORDS / 2 }>(words, &tokens, block, BLOCK_WORDS / 2, 2);
                        for t in 0..T {
                            values[t] = $fmadd($cvt(dots[t]), high, values[t]);
                        }
                        if MINS {
                            let (low, high) = (scales(&panel.min_low), scales(&panel.min_high));
                            for t in 0..T {
                                values[t] = $fnmadd(low, broadcast(tokens[t].sums[1], block), values[t]);
                                values[t] = $fnmadd(high, broadcast(tokens[t].sums[2], block), values[t]);
                            }
                        }
                    } else {
                        let low = scales(&panel.low);
                        let dots = sums::<T, BLOCK_WORDS>(words, &tokens, block, 0, 0);
                        values = dots.map(|dot| $mul_ps($cvt(dot), low));
                        if MINS {
                            let low = scales(&panel.min_low);
                            for t in 0..T {
                                values[t] = $fnmadd(low, broadcast(tokens[t].sums[0], block), values[t]);
                            }
                        }
                    }
                    let lane = &mut lanes[block % LANES];
                    for t in 0..T {
                        lane[t] = $fmadd(values[t], broadcast(tokens[t].scales, block), lane[t]);
                    }
                }
                for t in 0..T {
                    let pair = |a: usize, b: usize| $add_ps(lanes[a][t], lanes[b][t]);
                    let (even, odd) = ($add_ps(pair(0, 4), pair(2, 6)), $add_ps(pair(1, 5), pair(3, 7)));
                    let row: &mut [f32; ROWS] = &mut out[t];
                    // SAFETY: a row of the outputs has room for the largest vector.
                    unsafe { $store_ps(row.as_mut_ptr(), $add_ps(even, odd)) };
                }
            }

            /// One number of a token's block for every row.
            #[inline]
            #[target_feature(enable = $features)]
            fn broadcast(part: *const f32, block: usize) -> $float {
                // SAFETY: `Token::of` checked that the part has a number for each block of the
                // panel, as `tile` asserts that the input has at least as many blocks.
                $set1_ps(unsafe { *part.add(block) })
            }

            /// Integer products of `W` words from word `from` of a block; `part` chooses the bias.
            #[inline]
            #[target_feature(enable = $features)]
            fn sums<const T: usize, const W: usize>(
                words: &[u32],
                tokens: &[Token; T],
                block: usize,
                from: usize,
                part: usize,
            ) -> [$int; T] {
                let mut dots: [$int; T] = if $biased {
                    // SAFETY: as for `broadcast`.
                    std::array::from_fn(|t| $set1(unsafe { *tokens[t].biases[part].add(block) }))
                } else {
                    [$zero(); T]
                };
                let words = &words[from * $rows..][..W * $rows];
                for word in 0..W {
                    // SAFETY: inside `words`, which has `W` vectors.
                    let w = unsafe { $load(words.as_ptr().add(word * $rows).cast()) };
                    for t in 0..T {
                        // SAFETY: the token has all 32 codes of this block; no alignment is assumed.
                        let codes = unsafe {
                            tokens[t].codes.add(block * BLOCK + (from + word) * 4).cast::<i32>().read_unaligned()
                        };
                        dots[t] = $dot(dots[t], w, $set1(codes));
                    }
                }
                dots
            }
        }
    };
}

/// Adds products of signed bytes without VNNI: the sign of `w` moves to `x`. With codes of at most
/// 127 in magnitude no pair sum leaves 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn add_maddubs(sum: __m256i, w: __m256i, x: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

tile_kernel!(
    maddubs, "avx2,fma,f16c", rows 8, tokens 4, __m256i, __m256,
    load _mm256_loadu_si256, load_ps _mm256_loadu_ps, store_ps _mm256_storeu_ps,
    set1 _mm256_set1_epi32, set1_ps _mm256_set1_ps, zero_ps _mm256_setzero_ps, zero _mm256_setzero_si256,
    cvt _mm256_cvtepi32_ps, add_ps _mm256_add_ps, mul_ps _mm256_mul_ps, fmadd _mm256_fmadd_ps,
    fnmadd _mm256_fnmadd_ps, biased false, dot add_maddubs
);
tile_kernel!(
    avxvnni, "avx2,fma,f16c,avxvnni", rows 8, tokens 8, __m256i, __m256,
    load _mm256_loadu_si256, load_ps _mm256_loadu_ps, store_ps _mm256_storeu_ps,
    set1 _mm256_set1_epi32, set1_ps _mm256_set1_ps, zero_ps _mm256_setzero_ps, zero _mm256_setzero_si256,
    cvt _mm256_cvtepi32_ps, add_ps _mm256_add_ps, mul_ps _mm256_mul_ps, fmadd _mm256_fmadd_ps,
    fnmadd _mm256_fnmadd_ps, biased true, dot _mm256_dpbusd_avx_epi32
);
tile_kernel!(
    avx512vnni, "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni", rows 16, tokens 8, __m512i, __m512,
    load _mm512_loadu_si512, load_ps _mm512_loadu_ps, store_ps _mm512_storeu_ps,
    set1 _mm512_set1_epi32, set1_ps _mm512_set1_ps, zero_ps _mm512_setzero_ps, zero _mm512_setzero_si512,
    cvt _mm512_cvtepi32_ps, add_ps _mm512_add_ps, mul_ps _mm512_mul_ps, fmadd _mm512_fmadd_ps,
    fnmadd _mm512_fnmadd_ps, biased true, dot _mm512_dpbusd_epi32
);
