//! Whatever the metadata say, there is a plan or an error of one line: no panic, no large allocation.

use proptest::prelude::*;
use turbo_gguf::{Array, Value};
use turbo_model::{build_plan, build_plan_for_context, describe};

use crate::small::Small;

const KEYS: &[&str] = &[
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.scale",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_log_multiplier",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "expert_count",
];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0u32..70).prop_map(Value::U32),
        any::<u64>().prop_map(Value::U64),
        any::<i32>().prop_map(Value::I32),
        any::<f32>().prop_map(Value::F32),
        any::<bool>().prop_map(Value::Bool),
        prop::sample::select(vec!["none", "linear", "yarn", "longrope", ""])
            .prop_map(|kind| Value::String(kind.to_owned())),
        prop::collection::vec(0u32..70, 0..4).prop_map(|each| Value::Array(Array::U32(each))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn give_a_plan_or_an_error_of_one_line(
        architecture in prop::sample::select(vec!["llama", "mistral3", "qwen2", "qwen3", "other"]),
        changes in prop::collection::vec((prop::sample::select(KEYS), value()), 1..4),
        tokens in any::<usize>(),
    ) {
        let small = changes.into_iter().fold(
            Small::new(architecture, 2).vector("rope_freqs.weight", &[1.0; 8]),
            |small, (key, value)| small.with(key, value),
        );
        let file = small.file();
        for message in [
            build_plan(&file).err().map(|e| e.to_string()),
            build_plan_for_context(&file, tokens).err().map(|e| e.to_string()),
            describe(&file).err().map(|e| e.to_string()),
        ].into_iter().flatten() {
            prop_assert!(message.starts_with("small.gguf: ") && !message.contains('\n'), "{message}");
        }
        if let Ok(plan) = build_plan(&file) {
            let rope = &plan.ropes[0];
            prop_assert!(rope.magnitude.is_finite(), "{plan}");
            prop_assert!(rope.inv_freq.iter().all(|f| f.is_finite()), "{rope:?}");
        }
    }
}
