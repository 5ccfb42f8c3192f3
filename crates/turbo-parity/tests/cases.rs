//! What the table of attention cases holds: counted without a device.

use std::collections::BTreeSet;

use turbo_parity::Effort;
use turbo_parity::attention::{Case, Problem};
use turbo_quant::KvType;

const CODED: [KvType; 5] = [KvType::Q8_0, KvType::Q4_0, KvType::Turbo4, KvType::Turbo3, KvType::Turbo2];

/// The different cases of all variants of the coded pairs with full effort.
fn all() -> Vec<Case> {
    let variants = turbo_wgsl::attention::attention_decode::KERNEL.variants.iter();
    let cases = variants.flat_map(|variant| Case::of_variant(variant, Effort::Full));
    let mut seen = BTreeSet::new();
    cases.filter(|case| seen.insert(case.to_string())).collect()
}

#[test]
fn full_effort_has_more_than_2000_different_attention_cases() {
    let cases = all();
    eprintln!("{} different cases", cases.len());
    assert!(cases.len() >= 2000, "{} cases", cases.len());
    for k in CODED {
        for v in CODED {
            let pair: Vec<&Case> = cases.iter().filter(|case| (case.k, case.v) == (k, v)).collect();
            assert!(pair.len() >= 80, "{k}/{v}: {} cases", pair.len());
            for span_chunks in [1, 2, 8, 64] {
                assert!(pair.iter().any(|case| case.span_chunks == span_chunks), "{k}/{v}: splits of {span_chunks}");
            }
            let some = |what: &str, of: &dyn Fn(&Case) -> bool| {
                assert!(pair.iter().any(|case| of(case)), "{k}/{v}: no case with {what}");
            };
            some("a window", &|case| case.window.is_some());
            some("a soft cap", &|case| case.soft_cap.is_some());
            some("sinks", &|case| case.sinks);
            some("a key bias", &|case| case.key_bias.is_some());
            some("several sequences", &|case| case.sequences.len() > 1);
            some("8 tokens", &|case| case.sequences.iter().any(|s| s.1 == 8));
            some("K and V heads of two sizes", &|case| case.head_dim.0 != case.head_dim.1);
        }
        assert!(
            cases.iter().any(|case| case.k == k && case.v == k && case.sequences[0].0 == 131_072),
            "{k}: 131072 keys"
        );
    }
    for group in 1..=16 {
        assert!(cases.iter().any(|case| case.group == group), "groups of {group}");
    }
    for d in [16, 64, 80, 96, 128, 192, 256, 512, 576] {
        assert!(cases.iter().any(|case| case.head_dim.0 == d) && cases.iter().any(|case| case.head_dim.1 == d), "{d}");
    }
}

/// The fast CPU path stands in for the plain twin where there are many keys.
#[test]
fn every_case_can_be_made_and_the_twin_is_finite() {
    for case in all().into_iter().step_by(37) {
        let problem = Problem::new(&case).expect("a type that stores the heads");
        assert!(problem.of_twin().iter().all(|y| y.is_finite()), "{case}");
    }
}
