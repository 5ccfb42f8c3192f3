//! Logits of tiny random models against Hugging Face transformers (float32), see the README of the fixtures.

use std::path::PathBuf;
use std::sync::Arc;

use turbo_backend::plan::{Plan, Step};
use turbo_backend::{Backend, BackendError, DeviceInfo, Engine, KvTypes, LogitsFor};
use turbo_cpu::CpuBackend;
use turbo_gguf::{GgmlType, GgufFile};
use turbo_quant::KvType;
use turbo_runtime::{Context, ContextOptions, Model, Sequence};

/// One token sequence and what the model should make of it.
struct Case {
    tokens: Vec<u32>,
    argmax: Vec<usize>,
    margin: Vec<f64>,
    last: Vec<f32>,
}

fn numbers(case: &serde_json::Value, key: &str) -> Vec<f64> {
    let list = case[key].as_array().unwrap_or_else(|| panic!("the reference has a list {key}"));
    list.iter().map(|v| v.as_f64().expect("numbers")).collect()
}

fn cases(name: &str) -> Option<Vec<Case>> {
    let path = turbo_testkit::shared(&format!("fixtures/arch/{name}.json"))?;
    let text = std::fs::read_to_string(path).expect("a readable reference");
    let reference: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    let case = |case: &serde_json::Value| Case {
        tokens: numbers(case, "input_ids").into_iter().map(|v| v as u32).collect(),
        argmax: numbers(case, "argmax").into_iter().map(|v| v as usize).collect(),
        margin: numbers(case, "top1_margin"),
        last: numbers(case, "logits_last").into_iter().map(|v| v as f32).collect(),
    };
    Some(reference["cases"].as_array().expect("cases").iter().map(case).collect())
}

fn model(name: &str) -> Option<PathBuf> {
    turbo_testkit::shared(&format!("fixtures/arch/{name}.f16.gguf"))
}

/// Logits of every position.
fn logits(model: &Arc<Model>, types: KvTypes, tokens: &[u32], batch: usize) -> Vec<Vec<f32>> {
    logits_on(&CpuBackend::new(Some(2)), model, types, tokens, batch)
}

fn logits_on(backend: &dyn Backend, model: &Arc<Model>, types: KvTypes, tokens: &[u32], batch: usize) -> Vec<Vec<f32>> {
    let options = ContextOptions { types, tokens: Some(512) };
    let mut context = Context::new(Arc::clone(model), backend, options, &mut |_, _| ()).expect("a context");
    let (mut sequence, mut rows) = (Sequence::default(), Vec::new());
    for tokens in tokens.chunks(batch) {
        let keep = &mut |row: &[f32]| rows.push(row.to_vec());
        context.extend(&mut sequence, tokens, LogitsFor::All, keep).expect("logits");
    }
    rows
}

fn argmax(row: &[f32]) -> usize {
    row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i)
}

/// Positions whose best token is not the reference's although that is `margin` ahead.
fn wrong(rows: &[Vec<f32>], case: &Case, margin: f64) -> Vec<usize> {
    (0..rows.len()).filter(|&i| case.margin[i] > margin && argmax(&rows[i]) != case.argmax[i]).collect()
}

#[test]
fn f16_caches_follow_transformers() {
    for name in ["llama", "qwen2", "qwen3", "mistral"] {
        let (Some(path), Some(cases)) = (model(name), cases(name)) else { return };
        let model = Arc::new(Model::open(&path).expect("a valid model"));
        for case in cases {
            let n = case.tokens.len();
            let rows = logits(&model, KvTypes::default(), &case.tokens, n);
            let nmse = turbo_testkit::nmse(&rows[n - 1], &case.last);
            eprintln!("{name}, {n} tokens: nmse of the last logits {nmse:.2e}");
            assert!(nmse <= 1e-5, "{name}, {n} tokens: nmse of the last logits {nmse:e}");
            assert_eq!(wrong(&rows, &case, 0.05), [0; 0], "{name}, {n} tokens: positions with another best token");
            let single = logits(&model, KvTypes::default(), &case.tokens[..n.min(70)], 1);
            assert!(single == rows[..single.len()], "{name}: one token at a time gives the bits of a whole prompt");
        }
    }
}

/// The plan with every key bias back in the product that makes the keys, as other implementations have it.
fn biases_in_keys(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let write = |step: &Step| match *step {
        Step::KvWrite { slot, k, .. } => Some((slot, k)),
        _ => None,
    };
    let mut writes = plan.steps.iter().filter_map(write).collect::<Vec<_>>().into_iter();
    let mut next = writes.next();
    for step in &mut plan.steps {
        match (step, next) {
            (Step::MatMul { out, bias, .. }, Some((slot, k))) if *out == k => {
                *bias = plan.key_bias[slot].take().map(|bias| bias.weight);
            }
            (Step::KvWrite { .. }, _) => next = writes.next(),
            _ => {}
        }
    }
    plan
}

/// The CPU with the biases in the keys.
struct BiasesInKeys(CpuBackend);

impl Backend for BiasesInKeys {
    fn info(&self) -> DeviceInfo {
        self.0.info()
    }

    fn supports_weight(&self, ty: GgmlType) -> bool {
        self.0.supports_weight(ty)
    }

    fn load(
        &self,
        plan: Arc<Plan>,
        file: Arc<GgufFile>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Box<dyn Engine>, BackendError> {
        let within = biases_in_keys(&plan);
        assert!(plan.key_bias.iter().all(Option::is_some) && within.key_bias.iter().all(Option::is_none));
        self.0.load(Arc::new(within), file, progress)
    }
}

/// The keys of qwen2 have biases many times their size, llama's none: coded caches must cost both the same.
#[test]
fn large_key_biases_cost_nothing() {
    let open = |name| Some((Arc::new(Model::open(&model(name)?).expect("a valid model")), cases(name)?));
    let (Some((qwen2, qwen2_cases)), Some((llama, llama_cases))) = (open("qwen2"), open("llama")) else { return };
    let (cpu, within) = (CpuBackend::new(Some(2)), BiasesInKeys(CpuBackend::new(Some(2))));
    for (case, llama_case) in qwen2_cases.iter().zip(&llama_cases) {
        let n = case.tokens.len();
        let last = |backend: &dyn Backend| {
            let rows = logits_on(backend, &qwen2, KvTypes::default(), &case.tokens, n);
            turbo_testkit::nmse(&rows[n - 1], &case.last)
        };
        eprintln!(
            "f16, {n} tokens: nmse of the last logits {:.1e}; biases in the keys {:.1e}",
            last(&cpu),
            last(&within)
        );
        for t in KvType::ALL.into_iter().filter(|t| t.is_coded()) {
            // Error over all positions against an f16 cache, and positions with the same best token.
            let cost = |backend: &dyn Backend, model: &Arc<Model>, tokens: &[u32]| {
                let want = logits(model, KvTypes::default(), tokens, n);
                let got = logits_on(backend, model, KvTypes { k: t, v: t }, tokens, n);
                let same = got.iter().zip(&want).filter(|(got, want)| argmax(got) == argmax(want)).count();
                (turbo_testkit::nmse(&got.concat(), &want.concat()), same)
            };
            let (error, same) = cost(&cpu, &qwen2, &case.tokens);
            let (error_within, same_within) = cost(&within, &qwen2, &case.tokens);
            let (bar, _) = cost(&cpu, &llama, &llama_case.tokens);
            eprintln!(
                "{t}, {n} tokens: nmse {error:.1e}, {same} best tokens; biases in the keys {error_within:.1e}, \
                 {same_within}; llama {bar:.1e}"
            );
            assert!(error <= 2.0 * bar, "{t}, {n} tokens: nmse {error:e} with key biases, {bar:e} without");
        }
    }
}
