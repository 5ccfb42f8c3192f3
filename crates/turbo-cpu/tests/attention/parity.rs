//! The fast path against the twin, bit for bit.

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use turbo_cpu::attention::Simd;
use turbo_cpu::pool::ThreadPool;
use turbo_quant::KvType;

use crate::case::{Case, assert_same_bits};

const CODED: [KvType; 5] = [KvType::Q8_0, KvType::Q4_0, KvType::Turbo4, KvType::Turbo3, KvType::Turbo2];

fn check(case: Case, threads: usize) {
    let filled = case.fill();
    let want = filled.twin();
    assert!(want.iter().all(|v| v.is_finite()));
    let pool = ThreadPool::new(threads);
    for simd in Simd::all() {
        let got = filled.run(&pool, simd, 0, case.n_tokens).expect("finite queries");
        assert_same_bits(&got, &want, &format!("{case:?} on {} with {threads} threads", simd.name()));
    }
}

#[test]
fn every_coded_pair() {
    for (i, k) in CODED.into_iter().enumerate() {
        for (j, v) in CODED.into_iter().enumerate() {
            let seed = (10 * i + j) as u64;
            check(Case { k, v, n_keys: 333, group: 3, seed, ..Case::default() }, 1 + (i + j) % 3);
            check(Case { k, v, dk: 80, dv: 96, n_keys: 70, n_tokens: 5, n_kv_heads: 2, seed, ..Case::default() }, 2);
        }
    }
}

#[test]
fn every_head_size() {
    for (i, d) in [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 320, 512, 576].into_iter().enumerate() {
        let (k, v) = (CODED[i % 5], CODED[(i + i / 5) % 5]);
        check(Case { k, v, dk: d, dv: d, n_keys: 150, n_tokens: 2, group: 2, ..Case::default() }, 2);
        check(Case { k: v, v: k, dk: 576 - d + 16, dv: d, n_keys: 65, ..Case::default() }, 1);
    }
}

#[test]
fn every_length_at_a_border() {
    for n_keys in [1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257, 512, 513, 1000, 5000] {
        for (k, v) in [(KvType::Turbo4, KvType::Turbo3), (KvType::Q8_0, KvType::Q8_0)] {
            for threads in [1, 2, 3] {
                check(Case { k, v, n_keys, n_kv_heads: 1, group: 2, dk: 64, dv: 64, ..Case::default() }, threads);
            }
        }
    }
}

#[test]
fn groups_windows_caps_and_sinks() {
    for (i, group) in [1, 2, 5, 7, 8, 16].into_iter().enumerate() {
        let (k, v) = (CODED[i % 5], CODED[(i + 2) % 5]);
        let case = Case { k, v, group, dk: 64, dv: 64, n_keys: 400, n_tokens: 3, sinks: true, ..Case::default() };
        check(case, 2);
        check(Case { window: Some(100), soft_cap: Some(30.0), peak: 8.0, ..case }, 3);
        check(Case { window: Some(1), ..case }, 1);
        check(Case { window: Some(64), soft_cap: Some(1.5), sinks: false, peak: 40.0, ..case }, 2);
    }
}

#[test]
fn no_visible_key_gives_zeros() {
    for sinks in [false, true] {
        let case = Case { window: Some(0), sinks, ..Case::default() };
        check(case, 2);
        assert!(case.fill().twin().iter().all(|&v| v == 0.0));
    }
}

#[test]
fn prefill_equals_single_token_decodes_and_any_split() {
    for (k, v) in [
        (KvType::Turbo4, KvType::Turbo4),
        (KvType::Q8_0, KvType::Q8_0),
        (KvType::Turbo2, KvType::Q4_0),
        (KvType::F16, KvType::F16),
        (KvType::F16, KvType::Turbo3),
        (KvType::Turbo3, KvType::F16),
    ] {
        let case = Case {
            k,
            v,
            dk: 64,
            dv: 96,
            n_kv_heads: 2,
            group: 3,
            n_keys: 600,
            n_tokens: 128,
            window: Some(500),
            ..Case::default()
        };
        let filled = case.fill();
        for simd in Simd::all() {
            let whole = filled.run(&ThreadPool::new(1), simd, 0, 128).expect("finite queries");
            for (parts, threads) in [(1, 3), (2, 2), (8, 5), (64, 2), (128, 3)] {
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

#[test]
fn long_contexts_split_over_threads() {
    let case = Case { n_keys: 9000, ..Case::default() };
    for threads in [1, 2, 3, 8] {
        check(case, threads);
    }
}

#[test]
fn extreme_values_neither_overflow_nor_differ() {
    for k in CODED {
        for v in CODED {
            for (k_scale, v_scale, q_scale) in [
                (1e3, 1e3, 1e30),
                (1e-6, 1e-6, 1e-30),
                (0.0, 1.0, 1.0),
                (1.0, 0.0, 1.0),
                (400.0, 400.0, 1e3),
                (1.0, 1.0, 0.0),
            ] {
                let case = Case { k, v, dk: 576, dv: 144, n_keys: 200, n_tokens: 2, ..Case::default() };
                let mut random = crate::case::Random(7);
                // All of one sign and size: largest levels, largest sums.
                let keys = (0..200 * 576).map(|_| k_scale * if random.below(9) == 0 { -1.0 } else { 1.0 }).collect();
                let values = (0..200 * 144).map(|i| v_scale * if i % 144 == 0 { 8.0 } else { 0.01 }).collect();
                let queries = (0..2 * 576).map(|_| q_scale * random.gauss()).collect();
                let filled = case.fill_with(keys, values, queries);
                let want = filled.twin();
                assert!(want.iter().all(|v| v.is_finite()));
                for simd in Simd::all() {
                    let got = filled.run(&ThreadPool::new(2), simd, 0, 2).expect("finite queries");
                    assert_same_bits(&got, &want, &format!("{k}/{v} {k_scale} {v_scale} {q_scale} {}", simd.name()));
                }
            }
        }
    }
}

fn coded() -> impl Strategy<Value = KvType> {
    (0..CODED.len()).prop_map(|i| CODED[i])
}

fn head() -> impl Strategy<Value = usize> {
    (1..=36_usize).prop_map(|n| 16 * n)
}

fn some_or_none<T: std::fmt::Debug + Clone>(s: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop_oneof![Just(None), s.prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_case(
        (k, v, dk, dv) in (coded(), coded(), head(), head()),
        (n_kv_heads, group, n_tokens, before) in (1..4_usize, 1..6_usize, 1..71_usize, 0..300_usize),
        window in some_or_none(1..200_usize),
        soft_cap in some_or_none(0.5..60.0_f32),
        (sinks, peak, threads) in (any::<bool>(), 0.0..30.0_f32, 1..4_usize),
        seed in any::<u64>(),
    ) {
        // Wide heads get fewer rows, so that a case takes milliseconds.
        let n_tokens = if dk + dv > 400 { n_tokens.min(6) } else { n_tokens.min(20) };
        let case = Case {
            k, v, dk, dv, n_kv_heads, group, n_keys: before + n_tokens, n_tokens, window, soft_cap, sinks, peak, seed,
            bias: None,
        };
        check(case, threads);
    }
}

#[test]
fn seventy_query_tokens() {
    check(Case { n_tokens: 70, n_keys: 90, group: 5, dk: 32, dv: 32, ..Case::default() }, 2);
}
