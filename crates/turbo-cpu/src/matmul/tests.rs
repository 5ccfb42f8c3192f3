use proptest::prelude::*;
use turbo_quant::ggml::decode_row;

use super::*;

/// A small generator, so that the bytes of a test are the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    /// About normal, standard deviation 1.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() & 0xFFFF) as f32 / 65_536.0).sum::<f32>() - 6.0
    }

    fn inputs(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal()).collect()
    }

    /// Random blocks whose values are finite and of a usual size.
    fn weights(&mut self, ty: GgmlType, rows: usize, cols: usize) -> Vec<u8> {
        let (size, values) = (ty.block_bytes(), ty.block_values());
        let mut data = Vec::with_capacity(rows * cols / values * size);
        let (mut block, mut decoded) = (vec![0; size], vec![0.0; values]);
        for _ in 0..rows * cols / values {
            loop {
                block.fill_with(|| self.next() as u8);
                if matches!(ty, GgmlType::I32 | GgmlType::I64) {
                    block[2..].fill(0);
                }
                if matches!(ty, GgmlType::Q8_0 | GgmlType::Q8_1 | GgmlType::Q8_K) {
                    // Planes take a code of -128, which no encoder writes, as -127.
                    block.iter_mut().filter(|byte| **byte == 0x80).for_each(|byte| *byte = 0x81);
                }
                decode_row(ty, &block, &mut decoded).unwrap();
                let largest = decoded.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                if decoded.iter().all(|value| value.is_finite()) && (1e-2..1e6).contains(&largest) {
                    break;
                }
            }
            data.extend_from_slice(&block);
        }
        data
    }
}

trait FillWith {
    fn fill_with(&mut self, next: impl FnMut() -> u8);
}

impl FillWith for Vec<u8> {
    fn fill_with(&mut self, mut next: impl FnMut() -> u8) {
        self.iter_mut().for_each(|byte| *byte = next());
    }
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.available())
}

fn prepared(pool: &ThreadPool, ty: GgmlType, x: &[f32], cols: usize, wide: bool) -> Activations {
    let mut activations = Activations::new();
    activations.prepare(pool, x, x.len() / cols, cols, Forms::of(&[ty]).with_wide(wide));
    activations
}

fn product(level: Level, pool: &ThreadPool, w: WeightRef<'_>, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    product_of(level, pool, w, &prepared(pool, w.ty, x, w.cols, false), bias)
}

fn wide_product(level: Level, pool: &ThreadPool, w: WeightRef<'_>, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    product_of(level, pool, w, &prepared(pool, w.ty, x, w.cols, true), bias)
}

fn product_of(
    level: Level,
    pool: &ThreadPool,
    w: WeightRef<'_>,
    activations: &Activations,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let mut out = vec![f32::NAN; activations.tokens() * w.rows];
    matmul_at(level, pool, w, activations, bias, &mut out, w.rows);
    out
}

type Product = fn(Level, &ThreadPool, WeightRef<'_>, &[f32], Option<&[f32]>) -> Vec<f32>;

/// The two ways to take in the activations.
const PRODUCTS: [Product; 2] = [product, wide_product];

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The products in f64, and the sums of magnitudes that bound their rounding errors.
fn reference(w: &WeightRef<'_>, inputs: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut weights = vec![0.0; w.rows * w.cols];
    decode_row(w.ty, w.data, &mut weights).unwrap();
    let mut results = (Vec::new(), Vec::new());
    for x in inputs.chunks(w.cols) {
        for row in weights.chunks(w.cols) {
            let products = row.iter().zip(x).map(|(&w, &x)| f64::from(w) * x);
            results.0.push(products.clone().sum());
            results.1.push(products.map(f64::abs).sum());
        }
    }
    results
}

/// What the products are meant to compute: the inputs as the activations hold them.
fn held_inputs(activations: &Activations) -> Vec<f64> {
    let mut held = Vec::new();
    for token in 0..activations.tokens() {
        if activations.forms().int8 {
            let row = activations.int8_row(token);
            let code = |i: usize| match row.fine.get(i) {
                None => f64::from(row.codes[i]),
                Some(&fine) => f64::from(row.codes[i]) * 256.0 + f64::from(fine),
            };
            held.extend((0..row.codes.len()).map(|i| code(i) * f64::from(row.scales[i / 32])));
        } else {
            held.extend(activations.float_row(token).iter().map(|&x| f64::from(x)));
        }
    }
    held
}

/// Odd numbers of blocks, and float rows that do not fill vectors.
fn column_counts(ty: GgmlType) -> &'static [usize] {
    match ty.block_values() {
        1 => &[1, 15, 16, 67, 256],
        32 => &[32, 96, 288, 544],
        64 => &[64, 320, 576],
        _ => &[256, 768],
    }
}

#[test]
fn plain_products_are_those_of_the_decoded_weights() {
    let pool = ThreadPool::new(1);
    let mut random = Random(1);
    for &ty in GgmlType::ALL {
        assert!(supports(ty));
        for &cols in column_counts(ty) {
            let (rows, tokens) = (5, 3);
            let data = random.weights(ty, rows, cols);
            let x = random.inputs(tokens * cols);
            let w = WeightRef { ty, rows, cols, data: &data };
            for (wide, product) in PRODUCTS.iter().enumerate() {
                let got = product(Level::Plain, &pool, w, &x, None);
                let (want, magnitude) = reference(&w, &held_inputs(&prepared(&pool, ty, &x, cols, wide == 1)));
                for ((got, want), magnitude) in got.iter().zip(want).zip(magnitude) {
                    // `magnitude` counts scale * code - min as one; the kernel rounds the two apart.
                    let error = (f64::from(*got) - want).abs();
                    assert!(error <= 4e-6 * magnitude + 1e-30, "{ty}, {cols} columns: {got} instead of {want}");
                }
            }
        }
    }
}

#[test]
fn eight_bit_activations_cost_little() {
    let pool = ThreadPool::new(2);
    let mut random = Random(2);
    for &ty in GgmlType::ALL {
        let (rows, cols, tokens) = (24, 1024, 6);
        let data = random.weights(ty, rows, cols);
        let x = random.inputs(tokens * cols);
        let w = WeightRef { ty, rows, cols, data: &data };
        let exact: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let (want, _) = reference(&w, &exact);
        let want: Vec<f32> = want.iter().map(|&want| want as f32).collect();
        for (product, limit) in PRODUCTS.iter().zip([1e-4, 1e-8]) {
            let error = turbo_testkit::nmse(&product(Level::best(), &pool, w, &x, None), &want);
            let limit = if Forms::of(&[ty]).int8 { limit } else { 1e-12 };
            assert!(error <= limit, "{ty}: NMSE {error:e}");
        }
    }
}

/// The promise of the module: nothing but the row and the token decides the bits.
#[test]
fn levels_threads_and_batches_do_not_change_a_bit() {
    let pools = [1, 2, 3].map(ThreadPool::new);
    let mut random = Random(3);
    for &ty in GgmlType::ALL {
        for (&cols, rows) in column_counts(ty).iter().zip([17, 3, 35, 1, 4]) {
            let data = random.weights(ty, rows, cols);
            let x = random.inputs(33 * cols);
            let bias = random.inputs(rows);
            let w = WeightRef { ty, rows, cols, data: &data };
            for (wide, product) in PRODUCTS.iter().enumerate() {
                let want = bits(&product(Level::Plain, &pools[0], w, &x, Some(&bias)));
                for level in levels() {
                    for (first, tokens) in [(0, 33), (7, 1), (3, 2), (30, 3), (11, 5), (1, 8), (20, 13), (9, 7)] {
                        let pool = &pools[(first + tokens) % pools.len()];
                        let got = product(level, pool, w, &x[first * cols..][..tokens * cols], Some(&bias));
                        let want = &want[first * rows..][..tokens * rows];
                        let what = format!("{ty} {rows}x{cols}, {}, wide {wide}", level.name());
                        assert_eq!(bits(&got), want, "{what}, tokens {first}+{tokens}");
                    }
                }
            }
        }
    }
}

/// Guards the arithmetic itself, and shows that x86-64 and aarch64 agree: FNV-1a over all bits.
#[test]
fn the_bits_are_those_of_every_other_processor() {
    let pool = ThreadPool::new(2);
    for (product, want) in PRODUCTS.iter().zip([0x5B0E_2002_32DF_CE5B_u64, 0x2818_AA4C_0DFA_E9C6]) {
        let mut random = Random(8);
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        for &ty in GgmlType::ALL {
            let (rows, cols, tokens) = (3, 512, 5);
            let data = random.weights(ty, rows, cols);
            let x = random.inputs(tokens * cols);
            for bits in bits(&product(Level::best(), &pool, WeightRef { ty, rows, cols, data: &data }, &x, None)) {
                hash = (hash ^ u64::from(bits)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
        assert_eq!(hash, want, "{hash:#x}");
    }
}

#[test]
fn the_gap_of_a_stride_is_left_alone() {
    let pool = ThreadPool::new(2);
    let mut random = Random(4);
    for ty in [GgmlType::Q4_K, GgmlType::F16] {
        for tokens in [1, 9] {
            let (rows, cols, stride) = (18, 256, 25);
            let data = random.weights(ty, rows, cols);
            let x = random.inputs(tokens * cols);
            let w = WeightRef { ty, rows, cols, data: &data };
            let dense = product(Level::best(), &pool, w, &x, None);
            let mut out = vec![7.0; (tokens - 1) * stride + rows];
            matmul(&pool, w, &prepared(&pool, ty, &x, cols, false), None, &mut out, stride);
            for (token, out) in out.chunks(stride).enumerate() {
                assert_eq!(bits(&out[..rows]), bits(&dense[token * rows..][..rows]), "{ty}");
                assert!(out[rows..].iter().all(|&value| value == 7.0), "{ty}");
            }
        }
    }
}

#[test]
fn a_value_that_is_not_finite_is_not_hidden() {
    let pool = ThreadPool::new(1);
    let mut random = Random(5);
    for ty in [GgmlType::Q8_0, GgmlType::Q4_K, GgmlType::F32] {
        let (rows, cols) = (16, 512);
        let data = random.weights(ty, rows, cols);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = random.inputs(5 * cols);
            x[2 * cols + 300] = bad;
            let w = WeightRef { ty, rows, cols, data: &data };
            for (level, product) in levels().flat_map(|level| PRODUCTS.map(|product| (level, product))) {
                let got = product(level, &pool, w, &x, None);
                for (i, value) in got.iter().enumerate() {
                    assert_eq!(value.is_finite(), i / rows != 2, "{ty} {}: output {i} is {value}", level.name());
                }
            }
        }
    }
}

#[test]
fn extreme_codes_do_not_saturate() {
    let pool = ThreadPool::new(1);
    let cols = 512;
    for byte in [0x7F_u8, 0x80, 0x81] {
        let mut block = [byte; 34];
        block[..2].copy_from_slice(&half::f16::ONE.to_le_bytes());
        let data: Vec<u8> = block.repeat(cols / 32 * 3);
        let w = WeightRef { ty: GgmlType::Q8_0, rows: 3, cols, data: &data };
        for sign in [1.0, -1.0] {
            let x = vec![127.0 * sign; 9 * cols];
            let want = (if byte == 0x7F { 127.0 } else { -127.0 }) * 127.0 * sign * cols as f32;
            for (level, product) in levels().flat_map(|level| PRODUCTS.map(|product| (level, product))) {
                let got = product(level, &pool, w, &x, None);
                assert!(got.iter().all(|&value| value == want), "{byte:#x} {sign} {}: {got:?}", level.name());
            }
        }
    }
}

/// Codes of both planes at the ends of their ranges, against every extreme of every type's codes.
#[test]
fn extreme_wide_codes_do_not_saturate() {
    let pool = ThreadPool::new(1);
    let cols = 512;
    for &ty in GgmlType::ALL.iter().filter(|ty| Forms::of(&[**ty]).int8) {
        for byte in [0x00_u8, 0x7F, 0x80, 0xFF] {
            let data = vec![byte; 3 * cols / ty.block_values() * ty.block_bytes()];
            let w = WeightRef { ty, rows: 3, cols, data: &data };
            // 127 * 256 sets the scale to 1; 126 * 256 + 127 and + 129 have second codes of 127 and -127.
            for (code, sign) in [(32_383.0, 1.0), (32_383.0, -1.0), (32_385.0, 1.0), (32_385.0, -1.0)] {
                let x: Vec<f32> = (0..9 * cols).map(|i| sign * if i % 32 == 7 { 32_512.0 } else { code }).collect();
                let want = wide_product(Level::Plain, &pool, w, &x, None);
                for level in levels() {
                    let got = wide_product(level, &pool, w, &x, None);
                    for (got, want) in got.iter().zip(&want) {
                        let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
                        assert!(same, "{ty} {byte:#x} {code} {}: {got} instead of {want}", level.name());
                    }
                }
            }
        }
    }
}

#[test]
fn buffers_shrink_and_grow() {
    let pool = ThreadPool::new(2);
    let mut random = Random(6);
    let mut activations = Activations::new();
    let sizes = [(5, 512), (1, 256), (9, 1024), (2, 256), (0, 256)];
    for ((tokens, cols), wide) in sizes.into_iter().flat_map(|size| [(size, true), (size, false)]) {
        let data = random.weights(GgmlType::Q6_K, 7, cols);
        let x = random.inputs(tokens * cols);
        let w = WeightRef { ty: GgmlType::Q6_K, rows: 7, cols, data: &data };
        let forms = Forms::of(&[GgmlType::Q6_K, GgmlType::F32]).with_wide(wide);
        activations.prepare(&pool, &x, tokens, cols, forms);
        let mut out = vec![0.0; tokens * 7];
        matmul(&pool, w, &activations, None, &mut out, 7);
        assert_eq!(bits(&out), bits(&PRODUCTS[usize::from(wide)](Level::Plain, &pool, w, &x, None)));
    }
}

#[test]
#[should_panic(expected = "q4_K needs")]
fn a_missing_form_is_refused() {
    let pool = ThreadPool::new(1);
    let mut activations = Activations::new();
    activations.prepare(&pool, &[0.0; 256], 1, 256, Forms::of(&[GgmlType::F32]));
    let w = WeightRef { ty: GgmlType::Q4_K, rows: 1, cols: 256, data: &[0; 144] };
    matmul(&pool, w, &activations, None, &mut [0.0], 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any bytes and inputs: no panic, and every level gives the numbers of the plain one.
    #[test]
    fn any_file_any_input(
        seed in any::<u64>(),
        index in 0..GgmlType::ALL.len(),
        rows in 1_usize..20,
        blocks in 1_usize..12,
        tokens in 1_usize..11,
        wide in any::<bool>(),
        scale in prop::sample::select(vec![0.0_f32, 1e-38, 1e-20, 1.0, 1e20, 1e38]),
    ) {
        let pool = ThreadPool::new(2);
        let mut random = Random(seed);
        let ty = GgmlType::ALL[index];
        let cols = blocks * ty.block_values();
        let data: Vec<u8> = (0..rows * blocks * ty.block_bytes()).map(|_| random.next() as u8).collect();
        let x: Vec<f32> = (0..tokens * cols).map(|_| random.normal() * scale).collect();
        let w = WeightRef { ty, rows, cols, data: &data };
        let product = PRODUCTS[usize::from(wide)];
        let want = product(Level::Plain, &pool, w, &x, None);
        for level in levels() {
            let got = product(level, &pool, w, &x, None);
            for (got, want) in got.iter().zip(&want) {
                let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
                prop_assert!(same, "{} {}: {} instead of {}", ty, level.name(), got, want);
            }
        }
    }
}
