//! What `describe` says.

use turbo_gguf::{GgufFile, PerLayer, Value};
use turbo_model::describe;

use crate::small::Small;

#[test]
fn facts_about_the_test_model() {
    let Some(path) = turbo_testkit::shared("models/tiny-qwen3-34m.q4_k_m.gguf") else {
        return;
    };
    let info = describe(&GgufFile::open(&path).expect("opens")).expect("is described");
    assert_eq!((info.architecture.as_str(), info.supported), ("qwen3", true));
    assert_eq!(info.name.as_deref(), Some("Tiny Qwen3 34M"));
    assert_eq!((info.size_label.as_deref(), info.file_type.as_deref()), (Some("34M"), Some("Q4_K_M")));
    assert_eq!((info.n_layers, info.d_model, info.n_vocab), (Some(8), Some(512), Some(8192)));
    assert_eq!((info.n_heads, info.n_kv_heads), (Some(PerLayer::One(8)), Some(PerLayer::One(2))));
    assert_eq!((info.head_dim_k, info.head_dim_v, info.n_experts), (Some(128), Some(128), None));
    assert_eq!((info.context_length, info.d_ff), (Some(32768), Some(PerLayer::One(1536))));
    assert_eq!(info.rope.as_deref(), Some("neox, 128 of 128 values, theta 1000000"));
    assert!((33_000_000..36_000_000).contains(&info.parameters), "{}", info.parameters);
    let names: Vec<_> = info.tensor_types.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["q4_K", "q6_K", "f32"]);
    assert_eq!(info.tensor_types.iter().map(|t| t.values).sum::<u64>(), info.parameters);
}

#[test]
fn every_fixture_is_described_supported_or_not() {
    let all = "gemma2 gemma3 gemma4 gemma4moe gptoss granite llama mistral olmo2 phi3 qwen2 qwen3 qwen35 qwen35moe \
               qwen3moe";
    for name in all.split_whitespace() {
        let Some(path) = turbo_testkit::shared(&format!("fixtures/arch/{name}.f16.gguf")) else {
            continue;
        };
        let info = describe(&GgufFile::open(&path).expect("opens")).expect("is described");
        assert_eq!(info.supported, matches!(name, "llama" | "mistral" | "qwen2" | "qwen3"), "{name}");
        assert_eq!((info.d_model, info.rope.is_some()), (Some(256), info.supported), "{name}");
    }
}

#[test]
fn rope_scaling_in_words() {
    let rope = |small: Small| describe(&small.file()).expect("is described").rope.expect("is stated");
    let yarn = Small::new("llama", 1)
        .with("rope.scaling.type", Value::String("yarn".into()))
        .with("rope.scaling.factor", Value::F32(4.0))
        .with("rope.dimension_count", Value::U32(8));
    assert_eq!(rope(yarn), "interleaved, 8 of 16 values, theta 10000, yarn 4 from 128 tokens");
    let llama3 = Small::new("llama", 1).vector("rope_freqs.weight", &[1.0; 8]);
    assert_eq!(rope(llama3), "interleaved, 16 of 16 values, theta 10000, a factor per frequency");
    let linear = Small::new("llama", 1).with("rope.scale_linear", Value::F32(2.0));
    assert_eq!(rope(linear), "interleaved, 16 of 16 values, theta 10000, linear scaling 2");
}

#[test]
fn sizes_that_cannot_be_are_described_as_far_as_they_go() {
    let small = Small::new("gemma9", 1).with("attention.head_count", Value::U32(0));
    let info = describe(&small.file()).expect("an unknown architecture is described");
    assert_eq!((info.head_dim_k, info.rope, info.n_vocab), (None, None, Some(32)));
    let small = Small::new("llama", 1).with("attention.head_count", Value::U32(0));
    assert!(describe(&small.file()).is_err());
}
