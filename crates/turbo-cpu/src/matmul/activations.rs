//! The input of a product, prepared once and shared by every product that reads it.

use turbo_gguf::GgmlType;

use super::Level;
use super::plane::has_planes;
use crate::pool::{DisjointMut, ThreadPool};

/// Values that share one activation scale.
pub(crate) const BLOCK: usize = 32;
/// Extra bytes between the code rows of two tokens, so that the same columns of several tokens do
/// not fall into the same set of the first-level cache when a row is a multiple of 4 KiB.
const SKEW: usize = 64;
/// Below this magnitude a block is stored as zeros: its scale would leave the range of `f32`.
const TINY: f32 = 1e-30;

/// Which forms of the input the weights of a product need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// The `f32` rows (weights without integer planes: f32, f16, bf16).
    pub float: bool,
    /// 8-bit codes with a scale for each 32 values (quantised weights).
    pub int8: bool,
}

impl Forms {
    /// The forms that weights of these types read.
    pub fn of(types: &[GgmlType]) -> Self {
        let int8 = |ty: &GgmlType| has_planes(*ty);
        Self { float: types.iter().any(|ty| !int8(ty)), int8: types.iter().any(int8) }
    }
}

/// Rows of activations, one for each token, in the forms that the products need.
///
/// The int8 form of 32 consecutive values is `scale = max|x| / 127` and
/// `code = round(x * (127 / max|x|))`, ties to even: the same bits on every processor. A block with
/// a value that is not finite gets a scale of NaN, which every output that reads it then is; a block
/// below 1e-30 becomes zeros. The buffers are kept from one [`prepare`](Self::prepare) to the next.
#[derive(Default)]
pub struct Activations {
    pub(crate) tokens: usize,
    pub(crate) cols: usize,
    pub(crate) forms: Forms,
    /// `[tokens][cols]`
    pub(crate) float: Vec<f32>,
    /// `[tokens][code_stride]`
    pub(crate) codes: Vec<i8>,
    pub(crate) code_stride: usize,
    /// Blocks of a row.
    pub(crate) blocks: usize,
    /// `[tokens][blocks]`: one scale for 32 values.
    pub(crate) scales: Vec<f32>,
    /// Sums of codes, exact in `f32`.
    pub(crate) sums: Sums<f32>,
    /// -128 times the sums of codes: what products with weight codes moved up by 128 start from.
    pub(crate) biases: Sums<i32>,
}

/// A number for each block of 32 codes and for each of its halves; each `[tokens][blocks]`.
#[derive(Default)]
pub(crate) struct Sums<T> {
    pub(crate) whole: Vec<T>,
    pub(crate) low: Vec<T>,
    pub(crate) high: Vec<T>,
}

impl<T: Copy + Default> Sums<T> {
    fn resize(&mut self, len: usize) {
        for part in [&mut self.whole, &mut self.low, &mut self.high] {
            part.resize(len, T::default());
        }
    }
}

/// The int8 form of one token's row.
#[derive(Clone, Copy)]
pub(crate) struct Int8Row<'a> {
    /// At least `32 * blocks` codes.
    pub(crate) codes: &'a [i8],
    pub(crate) scales: &'a [f32],
    pub(crate) sums: &'a [f32],
    pub(crate) low: &'a [f32],
    pub(crate) high: &'a [f32],
}

impl Activations {
    /// No tokens yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in `x`, `tokens` rows of `cols` values, in the given forms, in parallel over tokens.
    ///
    /// # Panics
    /// When `x` is not `tokens * cols` long.
    pub fn prepare(&mut self, pool: &ThreadPool, x: &[f32], tokens: usize, cols: usize, forms: Forms) {
        assert_eq!(x.len(), tokens * cols, "activations of {tokens} tokens of {cols} values");
        (self.tokens, self.cols, self.forms) = (tokens, cols, forms);
        if forms.float {
            self.float.clear();
            self.float.extend_from_slice(x);
        }
        if forms.int8 {
            self.quantize(pool, x);
        }
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Number of values of a token's row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The forms that the last `prepare` made.
    pub fn forms(&self) -> Forms {
        self.forms
    }

    fn quantize(&mut self, pool: &ThreadPool, x: &[f32]) {
        let (tokens, cols) = (self.tokens, self.cols);
        self.blocks = cols.div_ceil(BLOCK);
        self.code_stride = (self.blocks * BLOCK).next_multiple_of(64) + SKEW;
        self.codes.resize(tokens * self.code_stride, 0);
        self.scales.resize(tokens * self.blocks, 0.0);
        self.sums.resize(tokens * self.blocks);
        self.biases.resize(tokens * self.blocks);
        let (blocks, stride) = (self.blocks, self.code_stride);
        let codes = DisjointMut::new(&mut self.codes);
        let scales = DisjointMut::new(&mut self.scales);
        let sums = [&mut self.sums.whole, &mut self.sums.low, &mut self.sums.high].map(|part| DisjointMut::new(part));
        let biases =
            [&mut self.biases.whole, &mut self.biases.low, &mut self.biases.high].map(|part| DisjointMut::new(part));
        pool.run(tokens, |token| {
            let from = token * blocks;
            // SAFETY: each token is one task, and its ranges belong to no other token.
            let (codes, scales, sums, biases) = unsafe {
                (
                    codes.slice(token * stride, blocks * BLOCK),
                    scales.slice(from, blocks),
                    sums.each_ref().map(|part| part.slice(from, blocks)),
                    biases.each_ref().map(|part| part.slice(from, blocks)),
                )
            };
            quantize_row(&x[token * cols..][..cols], codes, scales, sums, biases);
        });
    }

    pub(crate) fn int8_row(&self, token: usize) -> Int8Row<'_> {
        let range = token * self.blocks..(token + 1) * self.blocks;
        Int8Row {
            codes: &self.codes[token * self.code_stride..][..self.blocks * BLOCK],
            scales: &self.scales[range.clone()],
            sums: &self.sums.whole[range.clone()],
            low: &self.sums.low[range.clone()],
            high: &self.sums.high[range],
        }
    }

    pub(crate) fn float_row(&self, token: usize) -> &[f32] {
        &self.float[token * self.cols..][..self.cols]
    }
}

fn quantize_row(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: [&mut [f32]; 3], biases: [&mut [i32]; 3]) {
    #[cfg(target_arch = "x86_64")]
    if matches!(Level::best(), Level::Avx2 | Level::AvxVnni | Level::Avx512Vnni) {
        // SAFETY: each of these levels has AVX2 and FMA, and it is available.
        unsafe { quantize_row_avx2(x, codes, scales, sums, biases) };
        return;
    }
    quantize_row_body(x, codes, scales, sums, biases);
}

/// The plain body, compiled for AVX2; it has no operation that rounds differently there.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn quantize_row_avx2(
    x: &[f32],
    codes: &mut [i8],
    scales: &mut [f32],
    sums: [&mut [f32]; 3],
    biases: [&mut [i32]; 3],
) {
    quantize_row_body(x, codes, scales, sums, biases);
}

#[inline(always)]
fn quantize_row_body(x: &[f32], codes: &mut [i8], scales: &mut [f32], sums: [&mut [f32]; 3], biases: [&mut [i32]; 3]) {
    let (pieces, rest) = x.as_chunks::<BLOCK>();
    let mut last = [0.0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    let pieces = pieces.iter().chain((!rest.is_empty()).then_some(&last));
    for (block, (values, codes)) in pieces.zip(codes.as_chunks_mut::<BLOCK>().0).enumerate() {
        let low;
        (scales[block], low) = quantize_block(values, codes);
        let whole: i32 = codes.iter().map(|&code| i32::from(code)).sum();
        for (part, sum) in [whole, low, whole - low].into_iter().enumerate() {
            sums[part][block] = sum as f32;
            biases[part][block] = -128 * sum;
        }
    }
}

/// Returns the scale and the sum of the first half of the codes.
#[inline(always)]
fn quantize_block(values: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> (f32, i32) {
    // As integers, magnitudes order like the values they encode, and NaN is above infinity.
    let largest = values.iter().map(|value| value.to_bits() & 0x7FFF_FFFF).max().unwrap_or(0);
    let largest = f32::from_bits(largest);
    if !largest.is_finite() || largest < TINY {
        codes.fill(0);
        return (if largest.is_finite() { 0.0 } else { f32::NAN }, 0);
    }
    let inverse = 127.0 / largest;
    // Adding 1.5 * 2^23 leaves the integer nearest to the value (ties to even) in the low bits.
    const ROUND: f32 = 12_582_912.0;
    for (code, value) in codes.iter_mut().zip(values) {
        *code = (value * inverse + ROUND).to_bits() as i8;
    }
    (largest / 127.0, codes[..BLOCK / 2].iter().map(|&code| i32::from(code)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(x: &[f32], tokens: usize) -> Activations {
        let mut activations = Activations::new();
        let forms = Forms { float: true, int8: true };
        activations.prepare(&ThreadPool::new(2), x, tokens, x.len() / tokens, forms);
        activations
    }

    #[test]
    fn codes_are_the_nearest_integers() {
        let x: Vec<f32> = (0..96).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.37).collect();
        let activations = prepared(&x, 1);
        let row = activations.int8_row(0);
        for (i, &value) in x.iter().enumerate() {
            let largest = x[i / 32 * 32..][..32].iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert_eq!(row.scales[i / 32], largest / 127.0);
            assert_eq!(f32::from(row.codes[i]), (value * (127.0 / largest)).round_ties_even(), "value {i}");
        }
        let sum = |range: std::ops::Range<usize>| row.codes[range].iter().map(|&c| f32::from(c)).sum::<f32>();
        assert_eq!([row.sums[1], row.low[1], row.high[1]], [sum(32..64), sum(32..48), sum(48..64)]);
        assert_eq!(activations.biases.whole[2] as f32, -128.0 * row.sums[2]);
    }

    #[test]
    fn odd_lengths_and_extremes() {
        let mut x = vec![1.0_f32; 80];
        x[33] = f32::INFINITY;
        x[70] = -f32::MAX;
        let activations = prepared(&x, 2);
        assert_eq!((activations.blocks, activations.tokens(), activations.cols()), (2, 2, 40));
        let (first, second) = (activations.int8_row(0), activations.int8_row(1));
        assert!(first.scales[1].is_nan() && first.codes[32..].iter().all(|&c| c == 0));
        assert_eq!(second.codes[30], -127);
        let zeros = prepared(&[1e-38; 32], 1);
        assert_eq!((zeros.scales[0], zeros.codes[0]), (0.0, 0));
    }
}
