//! The integer query: scale, range, and the scores it gives.

mod common;

use common::{HEADS, Random, decode, encode, levels, norm, rotate_dense};
use turbo_quant::KvType;
use turbo_quant::kv::{Fault, QueryCodes, quantize_query};
use turbo_quant::turbo::exact::f32_from_f16;

fn quantize(head: &[f32], wide: bool) -> Result<(Vec<i16>, QueryCodes), Fault> {
    let (mut q, mut scratch) = (vec![0; head.len()], vec![0.0; head.len()]);
    let codes = quantize_query(head, wide, &mut q, &mut scratch)?;
    Ok((q, codes))
}

fn unit(codes: &QueryCodes) -> f64 {
    f64::from(codes.recip) * 2_f64.powi(codes.exponent)
}

#[test]
fn integers_times_the_scale_are_the_rotated_query() {
    let mut random = Random(21);
    for wide in [false, true] {
        for d in HEADS {
            for _ in 0..50 {
                let x = random.head_between(d, -100.0, 100.0);
                let (q, codes) = quantize(&x, wide).unwrap();
                let largest = q.iter().map(|v| v.unsigned_abs()).max().unwrap();
                // m16 is rounded up to 16 bits, so the largest wide integer may stay one or two below.
                let range = if wide { 32_510..=32_512 } else { 127..=127 };
                assert!(range.contains(&largest), "d {d}: {largest}");
                for (&q, y) in q.iter().zip(rotate_dense(&x)) {
                    let off = (f64::from(q) - y / unit(&codes)).abs();
                    assert!(off < if wide { 0.51 } else { 0.5001 }, "d {d}: off by {off}");
                }
            }
        }
    }
}

#[test]
fn the_scale_holds_for_every_leading_mantissa() {
    // A one-hot of a group of 16 rotates to +-x/4 exactly, so the maximum's mantissa is x's. Below
    // 2^15 the reciprocal of the inverse would not fit 31 bits if it were 2^46 / inverse.
    for step in 0..4096_u32 {
        let mantissa = (step << 11) + if step == 4095 { 0x7ff } else { step & 0x3ff };
        let x = f32::from_bits(0x3f80_0000 | mantissa);
        let mut head = [0.0; 16];
        head[3] = x;
        let (q, codes) = quantize(&head, false).unwrap();
        assert!(q.iter().all(|v| v.abs() == 127));
        let relative = 127.0 * unit(&codes) / (f64::from(x) / 4.0) - 1.0;
        assert!((-1e-7..5e-5).contains(&relative), "{x}: {relative}");
    }
}

#[test]
fn scores_are_the_products_of_the_decoded_integers() {
    let mut random = Random(22);
    let scale = (std::f64::consts::LOG2_E / 128_f64.sqrt()) as f32;
    for ty in KvType::ALL.into_iter().filter(|ty| ty.is_coded()) {
        for d in HEADS {
            let wide = ty == KvType::Q8_0;
            let (x, k) = (random.head(d, 2.0), random.head(d, 1.5));
            let (q, codes) = quantize(&x, wide).unwrap();
            let coded = encode(ty, &k).unwrap();
            let (levels, values) = (levels(ty, d, &coded), decode(ty, d, &coded, true));
            let (mut score, mut at) = (0.0, 0);
            for (n, &k_scale) in ty.scale_block_sizes(d).into_iter().zip(&coded.scales) {
                let idot: i32 = (at..at + n).map(|i| i32::from(q[i]) * i32::from(levels[i])).sum();
                let mult = f64::from(codes.score_mult(scale, ty, n));
                score += f64::from(idot) * f64::from(f32_from_f16(k_scale)) * mult / 65536.0;
                at += n;
            }
            let product = |q: &dyn Fn(usize) -> f64| (0..d).map(|i| q(i) * f64::from(values[i])).sum::<f64>();
            let integers = product(&|i| f64::from(q[i]) * unit(&codes)) * f64::from(scale);
            let size = norm(&x) * norm(&k) * f64::from(scale);
            assert!((score - integers).abs() < 1e-6 * size, "{ty} d {d}: {score} for {integers}");
            let rotated = rotate_dense(&x);
            let exact = product(&|i| rotated[i]) * f64::from(scale);
            let limit = if wide { 1e-4 } else { 2e-2 };
            assert!((score - exact).abs() < limit * size, "{ty} d {d}: {score} for {exact}");
        }
    }
}

#[test]
fn the_error_of_a_narrow_query_is_small() {
    let mut random = Random(23);
    let (mut error, mut power) = (0.0, 0.0);
    for _ in 0..2000 {
        let x = random.head(128, 1.0);
        let (q, codes) = quantize(&x, false).unwrap();
        for (&q, y) in q.iter().zip(rotate_dense(&x)) {
            error += (f64::from(q) * unit(&codes) - y).powi(2);
            power += y * y;
        }
    }
    assert!(error / power < 5e-5, "{}", error / power);
}

#[test]
fn edge_cases() {
    for zero in [0.0, -0.0, 1e-42] {
        let (q, codes) = quantize(&[zero; 80], false).unwrap();
        assert!(q.iter().all(|v| *v == 0));
        assert_eq!(codes.score_mult(0.1, KvType::Turbo4, 64), 0.0);
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let mut head = [1.0; 64];
        head[9] = bad;
        assert_eq!(quantize(&head, true).unwrap_err(), Fault::NonFinite);
    }
    // A group far below the largest one counts as zero, and huge queries keep their integers.
    let mut head = [1e-30_f32; 80];
    head[..64].fill(1e30);
    let (q, codes) = quantize(&head, false).unwrap();
    assert!(q[64..].iter().all(|v| *v == 0));
    assert!(unit(&codes).is_finite());
    let (q, codes) = quantize(&[f32::MAX; 128], true).unwrap();
    assert!(q.iter().all(|v| v.unsigned_abs() <= 32_512));
    assert!(codes.score_mult(0.1, KvType::Q8_0, 32) <= f32::MAX);
}
