//! The exact choice of codes and scales against float64, edge cases, faults.

mod common;

use common::{Coded, HEADS, Random, decode, encode, levels, norm, rotate_dense};
use proptest::prelude::*;
use turbo_quant::KvType;
use turbo_quant::kv::{Fault, encode_head};
use turbo_quant::turbo::exact::f32_from_f16;
use turbo_quant::turbo::tables::table;

const TURBO: [KvType; 3] = [KvType::Turbo4, KvType::Turbo3, KvType::Turbo2];

/// The f16 nearest a non-negative float64, and the distance to the nearest tie relative to the value.
fn nearest_f16(x: f64) -> (u16, f64) {
    let below = (0..0x7c00).collect::<Vec<u16>>();
    let value = |h: u16| f64::from(f32_from_f16(h));
    let at = below.partition_point(|&h| value(h) <= x) - 1;
    let next = if at == 0x7bff { 65536.0 } else { value(at as u16 + 1) };
    let tie = 0.5 * (value(at as u16) + next);
    (if x >= tie { at as u16 + 1 } else { at as u16 }, (x - tie).abs() / x)
}

#[test]
fn turbo_codes_and_scales_are_the_float64_ones() {
    let mut random = Random(11);
    let (mut near_thresholds, mut near_ties, mut values) = (0, 0, 0);
    for ty in TURBO {
        for n in [16, 32, 64, 128] {
            let table = table(ty.code_bits() as u32, n);
            for round in 0..300 {
                let mut x = random.head_between(n, -15.0, 15.0);
                if round % 3 == 0 {
                    // Peaked groups use the outer levels.
                    x.iter_mut().skip(round % 5 + 1).for_each(|v| *v *= 0.01);
                }
                let Ok(coded) = encode(ty, &x) else { continue };
                let (y, r) = (rotate_dense(&x), norm(&x));
                let got = levels(ty, n, &coded);
                let sigma = r / (n as f64).sqrt();
                for (y, &level) in y.iter().zip(&got) {
                    values += 1;
                    let unit = r / f64::from(table.multiplier);
                    let all = table.levels[..1 << table.bits].iter();
                    let distance = |l: i8| (y - unit * f64::from(l)).abs();
                    let best = all.copied().min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap();
                    if best != level {
                        near_thresholds += 1;
                        let threshold = 0.5 * unit * (f64::from(best) + f64::from(level));
                        let off = (y - threshold).abs() / threshold.abs().max(sigma);
                        assert!(off < 1e-6, "{ty} n {n}: level {level} for {best}, off by {off}");
                    }
                }
                let power: f64 = got.iter().map(|&l| f64::from(l) * f64::from(l)).sum();
                let (want, tie) = nearest_f16(r / power.sqrt() * 2_f64.powi(table.shift));
                if coded.scales[0] != want {
                    near_ties += 1;
                    assert!(tie < 1e-6, "{ty} n {n}: scale {:04x} for {want:04x}, {tie}", coded.scales[0]);
                }
            }
        }
    }
    eprintln!("{near_thresholds} codes of {values} and {near_ties} scales differ from float64");
}

#[test]
fn q8_0_and_q4_0_codes_are_the_float64_ones() {
    let mut random = Random(12);
    for ty in [KvType::Q8_0, KvType::Q4_0] {
        for d in HEADS {
            for _ in 0..60 {
                let x = random.head_between(d, -8.0, 12.0);
                let coded = encode(ty, &x).unwrap();
                let (y, got) = (rotate_dense(&x), levels(ty, d, &coded));
                for ((y, levels), &scale) in y.chunks(32).zip(got.chunks(32)).zip(&coded.scales) {
                    let max = y.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                    let scale = f64::from(f32_from_f16(scale));
                    let (low, high) = match ty {
                        KvType::Q8_0 => {
                            assert!(scale * 127.0 >= max * (1.0 - 1e-6));
                            (-127.0, 127.0)
                        }
                        _ => {
                            assert!((scale.abs() * 8.0 / max - 1.0).abs() < 2_f64.powi(-11) * 1.01);
                            (-8.0, 7.0)
                        }
                    };
                    for (y, &level) in y.iter().zip(levels) {
                        let exact = y / scale;
                        let tie = (exact.fract().abs() - 0.5).abs();
                        let want = exact.round().clamp(low, high);
                        assert!(want == f64::from(level) || tie < 1e-4, "{ty} d {d}: {level} for {exact}");
                    }
                }
            }
        }
    }
}

#[test]
fn zeros_of_any_kind_have_scale_zero_and_the_smallest_codes() {
    for value in [0.0, -0.0, 1e-45, -1e-40] {
        for d in HEADS {
            for ty in KvType::ALL {
                let coded = encode(ty, &vec![value; d]).unwrap();
                assert!(coded.scales.iter().all(|s| *s == 0), "{ty} d {d}");
                assert!(decode(ty, d, &coded, false).iter().all(|v| *v == 0.0), "{ty} d {d}");
                if ty.is_coded() {
                    let smallest = |n| {
                        if ty.is_turbo() { table(ty.code_bits() as u32, n).half[0] } else { 0 }
                    };
                    let sizes = ty.scale_block_sizes(d).into_iter();
                    let want: Vec<i8> = sizes.flat_map(|n| vec![smallest(n); n]).collect();
                    assert_eq!(levels(ty, d, &coded), want, "{ty} d {d}");
                }
            }
        }
    }
}

#[test]
fn a_one_hot_and_a_constant_head_decode_well() {
    for ty in KvType::ALL {
        for d in HEADS {
            let mut one_hot = vec![0.0; d];
            one_hot[d - 3] = -2.5;
            for head in [one_hot, vec![0.75; d], vec![-1e-3; d]] {
                let got = decode(ty, d, &encode(ty, &head).unwrap(), false);
                let nmse = turbo_testkit::nmse(&got, &head);
                // Rotated, a one-hot has all magnitudes equal: one level fits them, after the norm is corrected.
                let limit = if ty == KvType::Turbo2 { 0.2 } else { 0.08 };
                assert!(nmse < limit, "{ty} d {d}: {nmse}");
            }
        }
    }
}

#[test]
fn tiny_heads_become_zero_and_huge_heads_are_refused() {
    for ty in KvType::ALL {
        let tiny = encode(ty, &[1e-30; 128]).unwrap();
        assert!(decode(ty, 128, &tiny, false).iter().all(|v| *v == 0.0), "{ty}");
        for huge in [1e30, -1e9, f32::MAX] {
            assert_eq!(encode(ty, &[huge; 128]), Err(Fault::Overflow), "{ty} {huge}");
        }
        let mut one = vec![0.01; 576];
        one[575] = 3e8;
        assert_eq!(encode(ty, &one), Err(Fault::Overflow), "{ty}");
    }
    assert!(encode(KvType::F16, &[65519.0; 16]).is_ok());
    assert_eq!(encode(KvType::F16, &[65520.0; 16]), Err(Fault::Overflow));
    // Just under the fp16 range of the scale the norm is still kept.
    for ty in TURBO {
        let head = [40_000.0 / 128_f32.sqrt(); 128];
        let got = decode(ty, 128, &encode(ty, &head).unwrap(), true);
        assert!((norm(&got) / 40_000.0 - 1.0).abs() < 5e-4, "{ty}");
    }
}

#[test]
fn a_fault_stores_nothing() {
    for ty in KvType::ALL {
        for (bad, fault) in [
            (f32::NAN, Fault::NonFinite),
            (f32::INFINITY, Fault::NonFinite),
            (f32::NEG_INFINITY, Fault::NonFinite),
            (1e20, Fault::Overflow),
        ] {
            for at in [0, 130, 575] {
                let mut head = vec![1.0; 576];
                head[at] = bad;
                let mut codes = vec![0xdead_beef; ty.code_words(576)];
                let mut scales = vec![0xbeef; ty.scale_blocks(576)];
                assert_eq!(encode_head(ty, &head, &mut codes, &mut scales), Err(fault), "{ty}");
                assert!(codes.iter().all(|w| *w == 0xdead_beef), "{ty}");
                assert!(scales.iter().all(|s| *s == 0xbeef), "{ty}");
            }
        }
    }
}

#[test]
fn subnormal_scales_round_to_the_nearest_too() {
    let mut random = Random(13);
    for ty in TURBO {
        for _ in 0..500 {
            let x = random.head_between(64, -29.0, -15.0);
            let coded = encode(ty, &x).unwrap();
            let table = table(ty.code_bits() as u32, 64);
            let got = levels(ty, 64, &coded);
            let power: f64 = got.iter().map(|&l| f64::from(l) * f64::from(l)).sum();
            let (want, tie) = nearest_f16(norm(&x) / power.sqrt() * 2_f64.powi(table.shift));
            assert!(coded.scales[0] == want || tie < 1e-6, "{ty}: {:04x} for {want:04x}", coded.scales[0]);
        }
    }
}

fn head() -> impl Strategy<Value = Vec<f32>> {
    prop::sample::select(&HEADS[..]).prop_flat_map(|d| prop::collection::vec(-8.0_f32..8.0, d))
}

fn coded_type() -> impl Strategy<Value = KvType> {
    prop::sample::select(&KvType::ALL[1..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bits_give_a_code_or_a_fault(ty in coded_type(), bits in prop::collection::vec(any::<u32>(), 80)) {
        let head: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let finite = head.iter().all(|v| v.is_finite());
        match encode(ty, &head) {
            Ok(coded) => {
                prop_assert!(finite);
                prop_assert!(decode(ty, 80, &coded, false).iter().all(|v| v.is_finite()));
            }
            Err(fault) => prop_assert_eq!(fault == Fault::NonFinite, !finite),
        }
    }

    #[test]
    fn a_power_of_two_moves_only_the_scale(ty in coded_type(), head in head(), k in -6..6) {
        let factor = 2_f32.powi(k);
        let scaled: Vec<f32> = head.iter().map(|v| v * factor).collect();
        let (a, b) = (encode(ty, &head).unwrap(), encode(ty, &scaled).unwrap());
        let normal = |c: &Coded| c.scales.iter().all(|s| s & 0x7c00 != 0);
        if normal(&a) && normal(&b) {
            prop_assert_eq!(a.codes, b.codes);
            for (a, b) in a.scales.iter().zip(b.scales) {
                prop_assert_eq!(f32_from_f16(*a) * factor, f32_from_f16(b));
            }
        }
    }

    #[test]
    fn negation_negates(ty in coded_type(), head in head()) {
        let negated: Vec<f32> = head.iter().map(|v| -v).collect();
        let (a, b) = (encode(ty, &head).unwrap(), encode(ty, &negated).unwrap());
        let (a, b) = (decode(ty, head.len(), &a, true), decode(ty, head.len(), &b, true));
        // A rotated value of exactly zero takes the smallest positive level either way.
        let zeros = rotate_dense(&head).iter().any(|y| y.abs() < 1e-6);
        prop_assert!(zeros || a.iter().zip(&b).all(|(a, b)| *a == -*b));
    }

    #[test]
    fn the_error_of_a_value_is_bounded(head in head()) {
        let d = head.len();
        for (ty, largest) in [(KvType::Q8_0, 127.0), (KvType::Q4_0, 8.0)] {
            let coded = encode(ty, &head).unwrap();
            let values = decode(ty, d, &coded, true);
            for (i, (y, v)) in rotate_dense(&head).iter().zip(&values).enumerate() {
                let scale = f64::from(f32_from_f16(coded.scales[i / 32])).abs();
                // q4_0 has no level +8: up to a whole step is lost there.
                let steps = if largest == 8.0 { 1.01 } else { 0.501 };
                prop_assert!((y - f64::from(*v)).abs() <= steps * scale + 1e-6, "{ty} at {i}");
            }
        }
    }
}
