//! Keys stored without the bias of their projection.

use turbo_backend::plan::RopeStyle;
use turbo_cpu::attention::Simd;
use turbo_cpu::pool::ThreadPool;
use turbo_quant::KvType;

use crate::accuracy::{SHAPES, errors};
use crate::case::{Bias, Case, assert_same_bits};

const CODED: [KvType; 5] = [KvType::Q8_0, KvType::Q4_0, KvType::Turbo4, KvType::Turbo3, KvType::Turbo2];

fn check(case: Case) {
    let filled = case.fill();
    let want = filled.twin();
    assert!(want.iter().all(|v| v.is_finite()));
    for threads in [1, 2, 3] {
        let pool = ThreadPool::new(threads);
        for simd in Simd::all() {
            let got = filled.run(&pool, simd, 0, case.n_tokens).expect("finite queries");
            assert_same_bits(&got, &want, &format!("{case:?} on {} with {threads} threads", simd.name()));
        }
    }
}

#[test]
fn every_coded_pair_gives_the_bits_of_the_twin() {
    for (i, k) in CODED.into_iter().enumerate() {
        for (j, v) in CODED.into_iter().enumerate() {
            let style = if (i + j) % 2 == 0 { RopeStyle::Neox } else { RopeStyle::Interleaved };
            let case = Case { k, v, n_keys: 333, group: 3, seed: (10 * i + j) as u64, peak: 0.1, ..Case::default() };
            check(Case { bias: Some(Bias::new(50.0, style, 128)), ..case });
            check(Case { bias: Some(Bias::new(5.0, style, 48)), dk: 80, dv: 96, n_tokens: 5, n_kv_heads: 2, ..case });
        }
    }
}

#[test]
fn masks_caps_sinks_frequencies_and_head_sizes() {
    for (i, (dk, rotated)) in [(16, 16), (32, 8), (64, 64), (96, 0), (256, 64), (576, 576)].into_iter().enumerate() {
        for style in [RopeStyle::Neox, RopeStyle::Interleaved] {
            for (base, magnitude) in [(1e4, 1.0), (1.5, 1.0), (1e9, 1.3)] {
                let bias = Some(Bias { base, magnitude, ..Bias::new(20.0, style, rotated) });
                let (k, n_keys) = (CODED[i % 5], 300);
                let case =
                    Case { k, dk, dv: 64, n_keys, n_tokens: 2, group: 2, n_kv_heads: 2, bias, ..Case::default() };
                check(case);
                check(Case { window: Some(100), soft_cap: Some(30.0), sinks: true, peak: 0.3, ..case });
            }
        }
    }
}

#[test]
fn extreme_queries_and_biases_neither_overflow_nor_differ() {
    for k in CODED {
        for (peak, size) in [(1e30, 1e30), (1e-30, 1e-30), (1e30, 1e-30), (0.0, 1.0), (1.0, 0.0), (1e-38, 1e38)] {
            let bias = Some(Bias::new(size, RopeStyle::Neox, 64));
            check(Case { k, dk: 128, dv: 64, n_keys: 200, n_tokens: 2, peak, bias, ..Case::default() });
        }
    }
}

#[test]
fn prefill_equals_single_token_decodes_and_any_split() {
    for (k, v) in [
        (KvType::Turbo4, KvType::Turbo4),
        (KvType::Q8_0, KvType::Turbo3),
        (KvType::F16, KvType::F16),
        (KvType::F16, KvType::Turbo3),
        (KvType::Turbo3, KvType::F16),
    ] {
        let bias = Some(Bias::new(30.0, RopeStyle::Neox, 64));
        let case =
            Case { k, v, dk: 64, dv: 96, n_kv_heads: 2, group: 3, n_keys: 600, n_tokens: 128, ..Case::default() };
        let filled = Case { window: Some(500), peak: 0.2, bias, ..case }.fill();
        for simd in Simd::all() {
            let whole = filled.run(&ThreadPool::new(1), simd, 0, 128).expect("finite queries");
            for (parts, threads) in [(1, 3), (2, 2), (8, 5), (128, 3)] {
                let pool = ThreadPool::new(threads);
                let step = 128 / parts;
                let split: Vec<f32> = (0..parts)
                    .flat_map(|i| filled.run(&pool, simd, i * step, (i + 1) * step).expect("finite queries"))
                    .collect();
                assert_same_bits(&split, &whole, &format!("{k}/{v} in {parts} parts on {}", simd.name()));
            }
        }
    }
}

/// The arithmetic may add as much error as without a bias, although the bias is 50 times larger than the keys.
#[test]
fn a_bias_50_times_the_keys_costs_no_accuracy() {
    for k in KvType::ALL {
        for (style, dk, rotated) in
            [(RopeStyle::Neox, 128, 128), (RopeStyle::Interleaved, 64, 64), (RopeStyle::Neox, 80, 32)]
        {
            for softmax in SHAPES {
                for peak in [1.0, 0.02] {
                    let bias = Some(Bias::new(50.0, style, rotated));
                    let (v, n_keys) = (KvType::Turbo4, 2000);
                    let case = Case { k, v, dk, dv: 64, n_keys, group: 16, seed: 77, peak, bias, ..Case::default() };
                    let (added, codes, _) = errors(case, softmax);
                    let share = added / codes;
                    assert!(share <= 0.03, "{case:?} {softmax:?}: {:.2}% of the codes' error added", 100.0 * share);
                }
            }
        }
    }
}

#[test]
fn f16_follows_float64() {
    for (style, dk, rotated) in
        [(RopeStyle::Neox, 128, 128), (RopeStyle::Interleaved, 64, 64), (RopeStyle::Interleaved, 80, 32)]
    {
        let bias = Some(Bias::new(50.0, style, rotated));
        let (k, v) = (KvType::F16, KvType::F16);
        for peak in [0.02, 0.2] {
            let filled = Case { k, v, dk, dv: 64, n_keys: 700, group: 4, peak, bias, ..Case::default() }.fill();
            let want = filled.twin();
            for simd in Simd::all() {
                let got = filled.run(&ThreadPool::new(2), simd, 0, 1).expect("finite queries");
                let nmse = turbo_testkit::nmse(&got, &want);
                assert!(nmse < 1e-9, "{style:?} head of {dk}, queries of {peak}, on {}: {nmse:e}", simd.name());
            }
        }
    }
}
