//! Rotary embeddings from metadata and tensors.

use turbo_gguf::{GgufFile, Value};
use turbo_model::{build_plan, build_plan_for_context};

use crate::small::Small;

fn text(value: &str) -> Value {
    Value::String(value.into())
}

/// Base frequencies of heads of 16 at theta 10000, times `factor`.
fn frequencies(factor: f64) -> Vec<f32> {
    (0..8).map(|i| (10_000f64.powf(-f64::from(i) / 8.0) * factor) as f32).collect()
}

// Source of the rule: `_compute_llama3_parameters` of transformers, with the fixture's factor 8, low and high
// frequency factors 1 and 4 and original context 256; the file holds only the divisors that follow from it.
#[test]
fn llama3_factors_of_the_fixture() {
    let Some(path) = turbo_testkit::shared("fixtures/arch/llama.f16.gguf") else {
        return;
    };
    let plan = build_plan(&GgufFile::open(&path).expect("opens")).expect("has a plan");
    let (factor, low, high, original) = (8.0, 1.0, 4.0, 256.0);
    for (i, &got) in plan.ropes[0].inv_freq.iter().enumerate() {
        let trained = 500_000f64.powf(-2.0 * i as f64 / 64.0);
        let wavelength = 2.0 * std::f64::consts::PI / trained;
        let smooth = (original / wavelength - low) / (high - low);
        let want = if wavelength < original / high {
            trained
        } else if wavelength > original / low {
            trained / factor
        } else {
            (1.0 - smooth) * trained / factor + smooth * trained
        };
        assert!((f64::from(got) / want - 1.0).abs() < 1e-6, "pair {i}: got {got}, want {want}");
    }
}

#[test]
fn defaults_and_plain_keys() {
    let plan = Small::new("llama", 1).plan();
    assert_eq!((&plan.ropes[0].inv_freq, plan.ropes[0].magnitude), (&frequencies(1.0), 1.0));
    let small =
        Small::new("llama", 1).with("rope.dimension_count", Value::U32(4)).with("rope.freq_base", Value::F32(100.0));
    assert_eq!(small.plan().ropes[0].inv_freq, [1.0, 0.1]);
}

#[test]
fn linear_scaling_by_every_key() {
    for (key, kind) in
        [("rope.scaling.factor", Some("linear")), ("rope.scaling.factor", None), ("rope.scale_linear", None)]
    {
        let mut small = Small::new("qwen2", 1).with(key, Value::F32(4.0));
        if let Some(kind) = kind {
            small = small.with("rope.scaling.type", text(kind));
        }
        for (part, width) in [("q", 64), ("k", 32), ("v", 32)] {
            small = small.tensor(&format!("blk.0.attn_{part}.bias"), &[width]);
        }
        assert_eq!(small.plan().ropes[0].inv_freq, frequencies(0.25), "{key} {kind:?}");
    }
    let none =
        Small::new("llama", 1).with("rope.scaling.type", text("none")).with("rope.scaling.factor", Value::F32(4.0));
    assert_eq!(none.plan().ropes[0].inv_freq, frequencies(1.0));
}

#[test]
fn yarn_reads_all_its_keys() {
    let yarn = |keys: &[(&str, f32)]| {
        let mut small = Small::new("mistral3", 1)
            .with("rope.scaling.type", text("yarn"))
            .with("rope.scaling.factor", Value::F32(4.0))
            .with("rope.scaling.original_context_length", Value::U32(32));
        for &(key, value) in keys {
            small = small.with(&format!("rope.scaling.{key}"), Value::F32(value));
        }
        small.plan().ropes.remove(0)
    };
    // Correction range: pair 8 ln(32 / (2 pi beta)) / ln 10000, so -1.6 (kept to 0) to 1.4 (rounded to 2).
    let table = yarn(&[]);
    let want: Vec<f32> = (0..8)
        .map(|i| {
            let kept = (1.0 - f64::from(i) / 2.0).max(0.0);
            (10_000f64.powf(-f64::from(i) / 8.0) * (0.25 * (1.0 - kept) + kept)) as f32
        })
        .collect();
    assert_eq!(table.inv_freq, want);
    assert!((table.magnitude - 1.138_629_4).abs() < 1e-6);
    assert_eq!(yarn(&[("yarn_log_multiplier", 1.0)]).magnitude, 1.0);
    assert!((yarn(&[("attn_factor", 0.5)]).magnitude - 0.569_314_7).abs() < 1e-6);
    assert_eq!(yarn(&[("yarn_ext_factor", 0.0)]).inv_freq, frequencies(0.25));
    assert_ne!(yarn(&[("yarn_beta_slow", 0.25)]).inv_freq, want);
    assert_eq!(yarn(&[("yarn_beta_fast", 1e-3), ("yarn_beta_slow", 1e-3)]).inv_freq, frequencies(1.0));
}

#[test]
fn longrope_factors_depend_on_the_context() {
    let small = Small::new("llama", 1)
        .with("rope.scaling.type", text("longrope"))
        .with("rope.scaling.original_context_length", Value::U32(64))
        .with("rope.scaling.attn_factor", Value::F32(1.25))
        .vector("rope_factors_long.weight", &[4.0; 8])
        .vector("rope_factors_short.weight", &[2.0; 8]);
    let file = small.file();
    let rope = |tokens| build_plan_for_context(&file, tokens).expect("the small model has a plan").ropes.remove(0);
    assert_eq!((rope(65).inv_freq, rope(65).magnitude), (frequencies(0.25), 1.25));
    assert_eq!((rope(64).inv_freq, rope(64).magnitude), (frequencies(0.5), 1.25));
    assert_eq!(small.plan().ropes[0].inv_freq, frequencies(0.25));
}
