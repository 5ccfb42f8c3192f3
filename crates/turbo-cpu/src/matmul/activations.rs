//! The input of a product, prepared once and shared by every product that reads it.

use turbo_gguf::GgmlType;

use super::plane::has_planes;
use crate::pool::{DisjointMut, ThreadPool};

/// Values that share one activation scale.
pub(crate) const BLOCK: usize = 32;
/// From this many tokens on, weight rows are expanded into panels, which want packed tokens.
pub(crate) const PANEL_TOKENS: usize = 4;
/// Tokens that are packed together.
pub(crate) const TILE: usize = 8;
/// Below this magnitude a block is stored as zeros: its scale would leave the range of `f32`.
const TINY: f32 = 1e-30;
/// What a code of the first plane of wide activations counts, in codes of the second.
pub(crate) const COARSE: i32 = 1 << COARSE_BITS;
/// [`COARSE`] as a shift.
pub(crate) const COARSE_BITS: u32 = 8;

/// Which forms of the input the weights of a product need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// The `f32` rows (weights without integer planes: f32, f16, bf16).
    pub float: bool,
    /// 8-bit codes with a scale for each 32 values (quantised weights).
    pub int8: bool,
    /// A second plane of 8-bit codes beside the first, 256 times as fine: about the precision of
    /// 16-bit codes, for a second pass over the weights' codes. Without `int8` it means nothing.
    pub wide: bool,
}

impl Forms {
    /// The forms that weights of these types read.
    pub fn of(types: &[GgmlType]) -> Self {
        let int8 = |ty: &GgmlType| has_planes(*ty);
        Self { float: types.iter().any(|ty| !int8(ty)), int8: types.iter().any(int8), wide: false }
    }

    /// These forms, with `wide` activations or without.
    #[must_use]
    pub fn with_wide(self, wide: bool) -> Self {
        Self { wide: wide && self.int8, ..self }
    }
}

/// Rows of activations, one for each token, in the forms that the products need.
///
/// The int8 form of 32 consecutive values is `scale = max|x| / 127` and
/// `code = round(x * (127 / max|x|))`, ties to even: the same bits on every processor. A block with
/// a value that is not finite gets a scale of NaN, which every output that reads it then is; a block
/// below 1e-30 becomes zeros. The buffers are kept from one [`prepare`](Self::prepare) to the next.
///
/// The wide form has codes `q` of 16 bits, `scale = max|x| / 127 / 256` and
/// `q = round(x * (127 / max|x| * 256))`, kept as two planes: `q = 256 * first + second`, `first`
/// being `q / 256` rounded up at ties and `second` at least -127 (kernels move signs between factors,
/// which -128 does not survive; one code in 256 is off by 1 for it).
#[derive(Default)]
pub struct Activations {
    pub(crate) tokens: usize,
    pub(crate) cols: usize,
    pub(crate) forms: Forms,
    /// `[tokens][cols]`
    pub(crate) float: Vec<f32>,
    /// Blocks of a row.
    pub(crate) blocks: usize,
    /// `[tokens][32 * blocks]`
    codes: Vec<i8>,
    /// The second plane, as long as `codes`; empty unless the activations are wide.
    fine: Vec<i8>,
    /// `[tokens][blocks]`: one scale for 32 values.
    scales: Vec<f32>,
    /// `[tokens][blocks]`: sums of codes, exact in `f32`, of whole blocks and of their halves.
    sums: [Vec<f32>; 3],
    /// `[tiles][blocks]`, when there are at least [`PANEL_TOKENS`] tokens.
    packed: Vec<PackedBlock>,
    /// The second plane of `packed`; empty unless the activations are wide.
    packed_fine: Vec<Words>,
}

/// Four codes of one plane each: `[columns / 4][token]`.
pub(crate) type Words = [[i32; TILE]; BLOCK / 4];

/// One block of [`TILE`] tokens, in the order in which a panel's kernel reads it.
#[derive(Clone, Copy, Default)]
#[repr(C, align(32))]
pub(crate) struct PackedBlock {
    pub(crate) words: Words,
    pub(crate) scales: [f32; TILE],
    /// Sums of codes (of both planes) of the block, of its first half, of its second half.
    pub(crate) sums: [[f32; TILE]; 3],
    /// -128 times those sums: what products with weight codes moved up by 128 start from.
    pub(crate) biases: [[i32; TILE]; 3],
}

/// The int8 form of one token's row.
#[derive(Clone, Copy)]
pub(crate) struct Int8Row<'a> {
    /// At least `32 * blocks` codes.
    pub(crate) codes: &'a [i8],
    /// As many codes of the second plane, or none.
    pub(crate) fine: &'a [i8],
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

    /// The values that the codes of a token stand for; empty without an int8 form.
    pub fn values(&self, token: usize) -> Vec<f32> {
        let row = self.int8_row(token);
        let code = |i: usize| match row.fine.get(i) {
            None => f32::from(row.codes[i]),
            Some(&fine) => (i32::from(row.codes[i]) * COARSE + i32::from(fine)) as f32,
        };
        (0..self.cols).map(|i| code(i) * row.scales[i / BLOCK]).collect()
    }

    fn quantize(&mut self, pool: &ThreadPool, x: &[f32]) {
        let (tokens, cols) = (self.tokens, self.cols);
        let blocks = cols.div_ceil(BLOCK);
        self.blocks = blocks;
        self.codes.resize(tokens * blocks * BLOCK, 0);
        self.scales.resize(tokens * blocks, 0.0);
        self.sums.iter_mut().for_each(|part| part.resize(tokens * blocks, 0.0));
        let tiles = if tokens < PANEL_TOKENS { 0 } else { tokens.div_ceil(TILE) };
        self.packed.resize(tiles * blocks, PackedBlock::default());
        let wide = self.forms.wide;
        self.fine.resize(if wide { self.codes.len() } else { 0 }, 0);
        self.packed_fine.resize(if wide { self.packed.len() } else { 0 }, Words::default());
        let codes = DisjointMut::new(&mut self.codes);
        let fine = DisjointMut::new(&mut self.fine);
        let scales = DisjointMut::new(&mut self.scales);
        let sums = self.sums.each_mut().map(|part| DisjointMut::new(part));
        let packed = DisjointMut::new(&mut self.packed);
        let packed_fine = DisjointMut::new(&mut self.packed_fine);
        pool.run(tokens.div_ceil(TILE), |tile| {
            let first = tile * TILE;
            let count = TILE.min(tokens - first);
            let (from, len) = (first * blocks, count * blocks);
            let tile_at = if tiles == 0 { (0, 0) } else { (tile * blocks, blocks) };
            let only_wide = |(from, len)| if wide { (from, len) } else { (0, 0) };
            let (fine_at, packed_fine_at) = (only_wide((from * BLOCK, len * BLOCK)), only_wide(tile_at));
            // SAFETY: a tile is one task, and its ranges belong to no other tile.
            let (codes, fine, scales, sums, packed, packed_fine) = unsafe {
                (
                    codes.slice(from * BLOCK, len * BLOCK),
                    fine.slice(fine_at.0, fine_at.1),
                    scales.slice(from, len),
                    sums.each_ref().map(|part| part.slice(from, len)),
                    packed.slice(tile_at.0, tile_at.1),
                    packed_fine.slice(packed_fine_at.0, packed_fine_at.1),
                )
            };
            let [whole, low, high] = sums;
            for token in 0..count {
                let range = token * blocks..(token + 1) * blocks;
                let sums = [&mut whole[range.clone()], &mut low[range.clone()], &mut high[range.clone()]];
                let (at, len) = (token * blocks * BLOCK, blocks * BLOCK);
                let fine = if wide { &mut fine[at..][..len] } else { &mut [] };
                quantize_row(
                    &x[(first + token) * cols..][..cols],
                    [&mut codes[at..][..len], fine],
                    &mut scales[range],
                    sums,
                );
            }
            pack(codes, scales, [whole, low, high], packed);
            pack_words(fine, blocks, packed_fine.iter_mut());
        });
    }

    /// The blocks of each tile of tokens, and their second plane (empty unless the activations are
    /// wide); of the last tile, only the tokens that exist count.
    pub(crate) fn packed(&self) -> impl Iterator<Item = (&[PackedBlock], &[Words])> {
        let blocks = self.blocks.max(1);
        let fine = self.packed_fine.chunks_exact(blocks).chain(std::iter::repeat(&[][..]));
        self.packed.chunks_exact(blocks).zip(fine)
    }

    pub(crate) fn int8_row(&self, token: usize) -> Int8Row<'_> {
        let range = token * self.blocks..(token + 1) * self.blocks;
        let codes = range.start * BLOCK..range.end * BLOCK;
        Int8Row {
            codes: &self.codes[codes.clone()],
            fine: if self.forms.wide { &self.fine[codes] } else { &[] },
            scales: &self.scales[range.clone()],
            sums: &self.sums[0][range.clone()],
            low: &self.sums[1][range.clone()],
            high: &self.sums[2][range],
        }
    }

    pub(crate) fn float_row(&self, token: usize) -> &[f32] {
        &self.float[token * self.cols..][..self.cols]
    }
}

/// Packs the rows of a tile's tokens.
fn pack(codes: &[i8], scales: &[f32], sums: [&[f32]; 3], packed: &mut [PackedBlock]) {
    let blocks = packed.len();
    if blocks == 0 {
        return;
    }
    pack_words(codes, blocks, packed.iter_mut().map(|packed| &mut packed.words));
    for (token, scales) in scales.chunks_exact(blocks).enumerate() {
        for (block, (packed, &scale)) in packed.iter_mut().zip(scales).enumerate() {
            packed.scales[token] = scale;
            for (part, sums) in sums.iter().enumerate() {
                let sum = sums[token * blocks + block];
                packed.sums[part][token] = sum;
                packed.biases[part][token] = -128 * sum as i32;
            }
        }
    }
}

/// Packs one plane of the codes of a tile's tokens.
fn pack_words<'a>(codes: &[i8], blocks: usize, mut packed: impl Iterator<Item = &'a mut Words>) {
    let (words, _) = bytemuck::cast_slice::<i8, u8>(codes).as_chunks::<4>();
    let (words, _) = words.as_chunks::<{ BLOCK / 4 }>();
    for block in 0..blocks {
        let Some(packed) = packed.next() else { return };
        for (token, words) in words.iter().skip(block).step_by(blocks).enumerate() {
            for (packed, word) in packed.iter_mut().zip(words) {
                packed[token] = i32::from_ne_bytes(*word);
            }
        }
    }
}

/// Fills the planes of one row; the second one is empty unless the activations are wide.
fn quantize_row(x: &[f32], planes: [&mut [i8]; 2], scales: &mut [f32], sums: [&mut [f32]; 3]) {
    #[cfg(target_arch = "x86_64")]
    if super::Level::Avx2.available() {
        // SAFETY: the level has AVX2, and it is available.
        unsafe { quantize_row_avx2(x, planes, scales, sums) };
        return;
    }
    quantize_row_body(x, planes, scales, sums);
}

/// The plain body, compiled for AVX2; it has no operation that rounds differently there.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn quantize_row_avx2(x: &[f32], planes: [&mut [i8]; 2], scales: &mut [f32], sums: [&mut [f32]; 3]) {
    quantize_row_body(x, planes, scales, sums);
}

#[inline(always)]
fn quantize_row_body(x: &[f32], planes: [&mut [i8]; 2], scales: &mut [f32], sums: [&mut [f32]; 3]) {
    let (pieces, rest) = x.as_chunks::<BLOCK>();
    let mut last = [0.0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    let pieces = pieces.iter().chain((!rest.is_empty()).then_some(&last));
    let [codes, fine] = planes;
    let mut fine = fine.as_chunks_mut::<BLOCK>().0.iter_mut();
    for (block, (values, codes)) in pieces.zip(codes.as_chunks_mut::<BLOCK>().0).enumerate() {
        let halves;
        (scales[block], halves) = match fine.next() {
            None => quantize_block(values, codes),
            Some(fine) => quantize_wide_block(values, codes, fine),
        };
        sums[0][block] = (halves[0] + halves[1]) as f32;
        sums[1][block] = halves[0] as f32;
        sums[2][block] = halves[1] as f32;
    }
}

/// Adding 1.5 * 2^23 leaves the integer nearest to a value (ties to even) in the low bits.
const ROUND: f32 = 12_582_912.0;

/// The largest magnitude, or the scale of a block of zeros: 0, or NaN for values that are not finite.
#[inline(always)]
fn largest(values: &[f32; BLOCK]) -> Result<f32, f32> {
    // As integers, magnitudes order like the values they encode, and NaN is above infinity.
    let largest = values.iter().map(|value| value.to_bits() & 0x7FFF_FFFF).max().unwrap_or(0);
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        Err(f32::NAN)
    } else if largest < TINY {
        Err(0.0)
    } else {
        Ok(largest)
    }
}

/// Returns the scale and the sums of the halves of the codes.
#[inline(always)]
fn quantize_block(values: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> (f32, [i32; 2]) {
    let largest = match largest(values) {
        Ok(largest) => largest,
        Err(scale) => {
            codes.fill(0);
            return (scale, [0; 2]);
        }
    };
    let inverse = 127.0 / largest;
    for (code, value) in codes.iter_mut().zip(values) {
        *code = (value * inverse + ROUND).to_bits() as i8;
    }
    (largest / 127.0, [0, 1].map(|half| codes[half * BLOCK / 2..][..BLOCK / 2].iter().map(|&c| i32::from(c)).sum()))
}

/// [`quantize_block`] with two planes; the sums are those of the 16-bit codes.
#[inline(always)]
fn quantize_wide_block(values: &[f32; BLOCK], codes: &mut [i8; BLOCK], fine: &mut [i8; BLOCK]) -> (f32, [i32; 2]) {
    let largest = match largest(values) {
        Ok(largest) => largest,
        Err(scale) => {
            codes.fill(0);
            fine.fill(0);
            return (scale, [0; 2]);
        }
    };
    // Multiplying and dividing by a power of two is exact here.
    let inverse = 127.0 / largest * COARSE as f32;
    let mut whole = [0_i32; BLOCK];
    for (((whole, code), fine), value) in whole.iter_mut().zip(&mut *codes).zip(&mut *fine).zip(values) {
        let exact = i32::from((value * inverse + ROUND).to_bits() as i16);
        let first = (exact + COARSE / 2) >> COARSE_BITS;
        let second = (exact - (first << COARSE_BITS)).max(-127);
        (*code, *fine, *whole) = (first as i8, second as i8, (first << COARSE_BITS) + second);
    }
    (largest / 127.0 / COARSE as f32, [0, 1].map(|half| whole[half * BLOCK / 2..][..BLOCK / 2].iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(x: &[f32], tokens: usize) -> Activations {
        prepared_as(x, tokens, false)
    }

    fn prepared_as(x: &[f32], tokens: usize, wide: bool) -> Activations {
        let mut activations = Activations::new();
        let forms = Forms { float: true, int8: true, wide };
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
    }

    #[test]
    fn packed_blocks_hold_the_rows_of_their_tokens() {
        let x: Vec<f32> = (0..11 * 64).map(|i| (i * 61 % 127) as f32 - 63.0).collect();
        for wide in [false, true] {
            the_rows_are_packed(&prepared_as(&x, 11, wide));
        }
        assert_eq!(prepared(&x[..3 * 64], 3).packed().count(), 0);
    }

    fn the_rows_are_packed(activations: &Activations) {
        let tiles: Vec<(&[PackedBlock], &[Words])> = activations.packed().collect();
        assert_eq!(tiles.len(), 2);
        let codes_of = |words: &Words, t: usize| {
            words.iter().flat_map(|w| w[t].to_ne_bytes()).map(|b| b as i8).collect::<Vec<_>>()
        };
        for token in 0..11 {
            let row = activations.int8_row(token);
            let (blocks, fine) = tiles[token / TILE];
            for (block, packed) in blocks.iter().enumerate() {
                let t = token % TILE;
                assert_eq!(codes_of(&packed.words, t), row.codes[block * 32..][..32]);
                if activations.forms.wide {
                    assert_eq!(codes_of(&fine[block], t), row.fine[block * 32..][..32]);
                }
                assert_eq!(packed.scales[t], row.scales[block]);
                assert_eq!(packed.sums.map(|part| part[t]), [row.sums[block], row.low[block], row.high[block]]);
                assert_eq!(packed.biases.map(|part| part[t] as f32), packed.sums.map(|part| part[t] * -128.0));
            }
        }
    }

    /// The planes hold the nearest 16-bit code, but for those that would take a second code of -128.
    #[test]
    fn wide_codes_are_the_nearest_integers() {
        let x: Vec<f32> = (0..4096).map(|i| ((i * 37 % 10_007) as f32 - 5003.0) * 0.37).collect();
        let activations = prepared_as(&x, 1, true);
        let row = activations.int8_row(0);
        let code = |i: usize| i32::from(row.codes[i]) * 256 + i32::from(row.fine[i]);
        let mut off = 0;
        for (i, &value) in x.iter().enumerate() {
            let largest = x[i / 32 * 32..][..32].iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert_eq!(row.scales[i / 32], largest / 127.0 / 256.0);
            let nearest = (value * (127.0 / largest * 256.0)).round_ties_even() as i32;
            assert!(code(i) == nearest || row.fine[i] == -127 && code(i) == nearest + 1, "value {i}");
            assert!(row.codes[i] >= -127 && row.fine[i] >= -127, "value {i}");
            off += usize::from(code(i) != nearest);
        }
        assert!((1..60).contains(&off), "{off} codes of 4096");
        let sum = |range: std::ops::Range<usize>| range.map(code).sum::<i32>() as f32;
        assert_eq!([row.sums[1], row.low[1], row.high[1]], [sum(32..64), sum(32..48), sum(48..64)]);
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
