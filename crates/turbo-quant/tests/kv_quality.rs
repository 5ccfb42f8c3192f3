//! How much the codes lose on Gaussian heads, and against ggml's own formats.

mod common;

use common::{Coded, HEADS, Random, decode, dot, encode, levels, norm, rotate_dense};
use turbo_quant::KvType;
use turbo_quant::kv::decode_head;
use turbo_quant::turbo::exact::{f16_from_f32, f32_from_f16};
use turbo_quant::turbo::levels::Law;
use turbo_quant::turbo::rotate::{Direction, rotate_head};
use turbo_quant::turbo::tables::table;

/// Error measures over many vectors: NMSE as stored, NMSE with the uncorrected norm, mean cosine.
struct Quality {
    nmse: f64,
    raw: f64,
    cosine: f64,
}

fn quality(ty: KvType, n: usize, vectors: usize) -> Quality {
    let mut random = Random(n as u64);
    let (mut error, mut raw, mut power, mut cosine) = (0.0, 0.0, 0.0, 0.0);
    for _ in 0..vectors {
        let x = random.head(n, 1.0);
        let coded = encode(ty, &x).unwrap();
        let mut y = x.clone();
        rotate_head(&mut y, Direction::Forward);
        let got = decode(ty, n, &coded, true);
        let squared = |v: &mut dyn Iterator<Item = f64>| v.map(|e| e * e).sum::<f64>();
        error += squared(&mut y.iter().zip(&got).map(|(a, b)| f64::from(a - b)));
        power += dot(&y, &y);
        cosine += dot(&y, &got) / (norm(&y) * norm(&got));
        if ty.is_turbo() {
            let unit = norm(&x) / f64::from(table(ty.code_bits() as u32, n).multiplier);
            let levels = levels(ty, n, &coded);
            raw += squared(&mut y.iter().zip(&levels).map(|(a, b)| f64::from(*a) - unit * f64::from(*b)));
        }
    }
    Quality { nmse: error / power, raw: raw / power, cosine: cosine / vectors as f64 }
}

/// What the stored table loses on unit vectors of n values, by integrating over their law.
fn expected_nmse(ty: KvType, n: usize) -> f64 {
    let table = table(ty.code_bits() as u32, n);
    let unit = 1.0 / f64::from(table.multiplier);
    let levels: Vec<f64> = table.half[..table.positive()].iter().map(|&l| f64::from(l) * unit).collect();
    let thresholds: Vec<f64> = levels.windows(2).map(|l| 0.5 * (l[0] + l[1])).collect();
    Law::Sphere { n: n as u32 }.nmse(&levels, &thresholds)
}

#[test]
fn smaller_groups_lose_no_more() {
    for ty in [KvType::Turbo4, KvType::Turbo3, KvType::Turbo2] {
        let largest = quality(ty, 128, 4000);
        for n in [64, 32, 16] {
            let got = quality(ty, n, 4000 * 128 / n);
            eprintln!("{ty} n {n}: nmse {:.5} raw {:.5} cosine {:.5}", got.nmse, got.raw, got.cosine);
            let sphere = expected_nmse(ty, n);
            assert!((got.raw / sphere - 1.0).abs() < 0.01, "{ty} n {n}: raw {} for {sphere}", got.raw);
            assert!(got.nmse < largest.nmse * 1.02, "{ty} n {n}: {}", got.nmse);
            assert!(got.nmse > largest.nmse * 0.75, "{ty} n {n}: {}", got.nmse);
            assert!(got.cosine > largest.cosine - 1e-3, "{ty} n {n}: {}", got.cosine);
        }
    }
}

/// ggml's q8_0 of 32 values (quantize_row_q8_0_ref in ggml-quants.c), decoded.
fn ggml_q8_0(x: &[f32]) -> Vec<f32> {
    let max = x.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let d = max / 127.0;
    let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
    let stored = f32_from_f16(f16_from_f32(d).unwrap());
    x.iter().map(|v| (v * inverse).round() * stored).collect()
}

/// ggml's q4_0 of 32 values (quantize_row_q4_0_ref in ggml-quants.c), decoded.
fn ggml_q4_0(x: &[f32]) -> Vec<f32> {
    let max = x.iter().fold(0.0_f32, |m, v| if v.abs() > m.abs() { *v } else { m });
    let d = max / -8.0;
    let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
    let stored = f32_from_f16(f16_from_f32(d).unwrap());
    x.iter().map(|v| ((v * inverse + 8.5).trunc().min(15.0) - 8.0) * stored).collect()
}

#[test]
fn q8_0_and_q4_0_are_as_good_as_ggmls() {
    type Reference = fn(&[f32]) -> Vec<f32>;
    let references: [(KvType, Reference); 2] = [(KvType::Q8_0, ggml_q8_0), (KvType::Q4_0, ggml_q4_0)];
    for (ty, reference) in references {
        for d in [64, 80, 128] {
            let mut random = Random(3);
            let (mut ours, mut theirs, mut power) = (0.0, 0.0, 0.0);
            for _ in 0..2000 {
                let x = random.head(d, 1.0);
                let got = decode(ty, d, &encode(ty, &x).unwrap(), true);
                let mut y = x;
                rotate_head(&mut y, Direction::Forward);
                let want: Vec<f32> = y.chunks(32).flat_map(reference).collect();
                let error = |z: &[f32]| turbo_testkit::nmse(z, &y) * dot(&y, &y);
                ours += error(&got);
                theirs += error(&want);
                power += dot(&y, &y);
            }
            eprintln!("{ty} d {d}: ours {:.3e} ggml {:.3e}", ours / power, theirs / power);
            assert!(ours < theirs * 1.005, "{ty} d {d}: {ours} for {theirs}");
        }
    }
}

#[test]
fn a_decoded_group_keeps_its_norm() {
    let mut random = Random(4);
    for ty in [KvType::Turbo4, KvType::Turbo3, KvType::Turbo2] {
        for n in [16, 32, 64, 128] {
            for _ in 0..2000 {
                let x = random.head_between(n, -10.0, 10.0);
                let got = decode(ty, n, &encode(ty, &x).unwrap(), true);
                let relative = (norm(&got) / norm(&x) - 1.0).abs();
                assert!(relative < 2_f64.powi(-11), "{ty} n {n}: {relative}");
                let scale = f32_from_f16(encode(ty, &x).unwrap().scales[0]);
                let ratio = f64::from(scale) / norm(&x);
                assert!((0.5..2.0).contains(&ratio), "{ty} n {n}: the scale is {ratio} norms");
            }
        }
    }
}

#[test]
fn products_in_the_rotated_domain_are_products_of_the_decoded_values() {
    let mut random = Random(5);
    for ty in KvType::ALL {
        for d in HEADS {
            let (q, k) = (random.head(d, 1.0), random.head(d, 0.7));
            let coded = encode(ty, &k).unwrap();
            let plain = dot(&q, &decode(ty, d, &coded, false));
            let mut rotated_q = q.clone();
            if ty.is_coded() {
                rotate_head(&mut rotated_q, Direction::Forward);
            }
            let rotated = dot(&rotated_q, &decode(ty, d, &coded, true));
            assert!((plain - rotated).abs() < 1e-6 * norm(&q) * norm(&k), "{ty} d {d}");
        }
    }
}

#[test]
fn decoded_values_are_scale_times_level_times_a_power_of_two() {
    let mut random = Random(6);
    for ty in KvType::ALL.into_iter().filter(|ty| ty.is_coded()) {
        for d in HEADS {
            let coded = encode(ty, &random.head(d, 3.0)).unwrap();
            let (values, levels) = (decode(ty, d, &coded, true), levels(ty, d, &coded));
            let mut at = 0;
            for (n, &scale) in ty.scale_block_sizes(d).into_iter().zip(&coded.scales) {
                let unit = f64::from(f32_from_f16(scale)) * f64::from(turbo_quant::kv::block_mult(ty, n));
                for i in at..at + n {
                    assert_eq!(f64::from(values[i]), unit * f64::from(levels[i]), "{ty} d {d} at {i}");
                }
                at += n;
            }
            assert_eq!(at, d);
        }
    }
}

#[test]
fn every_head_size_keeps_the_quality() {
    let limits = [
        (KvType::F16, 1e-6),
        (KvType::Q8_0, 4e-5),
        (KvType::Q4_0, 0.011),
        (KvType::Turbo4, 0.012),
        (KvType::Turbo3, 0.042),
        (KvType::Turbo2, 0.14),
    ];
    let mut random = Random(7);
    for (ty, limit) in limits {
        for d in HEADS {
            let x: Vec<f32> = random.head(d * 64, 1.0);
            let got: Vec<f32> = x.chunks(d).flat_map(|x| decode(ty, d, &encode(ty, x).unwrap(), false)).collect();
            let nmse = turbo_testkit::nmse(&got, &x);
            assert!(nmse < limit, "{ty} d {d}: {nmse}");
        }
    }
}

#[test]
fn an_outlier_channel_costs_turbo_nothing() {
    let mut random = Random(8);
    for (ty, limit) in [(KvType::Turbo4, 0.015), (KvType::Q8_0, 1e-4)] {
        let (mut error, mut power) = (0.0, 0.0);
        for _ in 0..500 {
            let mut x = random.head(128, 1.0);
            x[17] += 10.0;
            let got = decode(ty, 128, &encode(ty, &x).unwrap(), false);
            error += turbo_testkit::nmse(&got, &x) * dot(&x, &x);
            power += dot(&x, &x);
        }
        assert!(error / power < limit, "{ty}: {}", error / power);
    }
}

#[test]
fn a_zeroed_cache_decodes_to_finite_values() {
    for ty in KvType::ALL {
        let mut out = vec![1.0; 80];
        let coded = Coded { codes: vec![0; ty.code_words(80)], scales: vec![0; ty.scale_blocks(80)] };
        decode_head(ty, &coded.codes, &coded.scales, &mut out, false);
        assert!(out.iter().all(|v| *v == 0.0), "{ty}");
    }
    assert_eq!(rotate_dense(&[0.0; 16]), [0.0; 16]);
}
