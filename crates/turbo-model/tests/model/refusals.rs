//! Every refusal, by its message.

use turbo_gguf::{Array, GgmlType, GgufFile, Value};
use turbo_model::build_plan;

use crate::small::Small;

fn refused(small: &Small, want: &str) {
    assert_eq!(small.refusal(), format!("small.gguf: {want}"));
}

fn llama() -> Small {
    Small::new("llama", 2)
}

fn key(suffix: &str, value: Value, want: &str) {
    refused(&llama().with(suffix, value), &format!("key \"llama.{suffix}\" is {want}"));
}

#[test]
fn broken_fixtures() {
    let shown = |name: &str| {
        let path = turbo_testkit::fixture(&format!("bad/{name}.gguf"));
        let file = GgufFile::open(&path).expect("the container is sound");
        let message = build_plan(&file).expect_err("the model is not").to_string();
        let start = format!("{}: ", path.display());
        message.strip_prefix(&start).unwrap_or_else(|| panic!("no file name in {message}")).to_owned()
    };
    assert_eq!(
        shown("missing_tensor"),
        "tensor \"blk.1.ffn_down.weight\" is missing, expected shape [48, 64]; the file is incomplete, convert the \
         model again"
    );
    assert_eq!(
        shown("shape_mismatch"),
        "tensor \"blk.0.attn_output.weight\" has shape [64, 32], expected [64, 64] by the metadata"
    );
    assert_eq!(
        shown("head_count_zero"),
        "key \"llama.attention.head_count\" is 0, expected a whole number from 1 to 65536"
    );
    assert_eq!(
        shown("unknown_type_id"),
        "tensor \"blk.0.attn_v.weight\" has the unsupported type id 999: no such ggml type is known; the file is \
         damaged or newer than this program"
    );
    let good = GgufFile::open(&turbo_testkit::fixture("bad/control_good.gguf")).expect("opens");
    assert_eq!(build_plan(&good).expect("has a plan").n_layers, 2);
}

#[test]
fn unknown_architecture() {
    refused(
        &Small::new("gemma9", 1),
        "architecture \"gemma9\" is not supported, expected one of llama, mistral3, qwen2, qwen3",
    );
}

#[test]
fn absurd_sizes() {
    let million = "expected a whole number from 1 to 16777216";
    key("embedding_length", Value::U32(0), &format!("0, {million}"));
    key("embedding_length", Value::U64(1 << 60), &format!("1152921504606846976, {million}"));
    key("feed_forward_length", Value::U32(0), &format!("0, {million}"));
    key("block_count", Value::U32(1_000_000_000), "1000000000, expected no more layers than the file has tensors, 20");
    key("block_count", Value::U32(0), "0, expected a whole number from 1 to 4294967295");
    key("context_length", Value::U32(0), "0, expected a whole number from 1 to 4294967295");
    key("attention.head_count_kv", Value::U32(0), "0, expected a whole number from 1 to 65536");
    key("attention.key_length", Value::U32(1 << 30), "1073741824, expected a whole number from 1 to 65536");
    key("attention.head_count_kv", Value::U32(3), "3, expected a divisor of the 4 query heads of layer 0");
    refused(
        &llama().with("attention.head_count", Value::U32(6)),
        "key \"llama.attention.head_count\" is 6, expected a divisor of the embedding length 64 giving heads of at \
         most 65536 values",
    );
    key("attention.layer_norm_rms_epsilon", Value::F32(f32::NAN), "NaN, expected a number from 0 to below 1");
    key("attention.scale", Value::F32(-1.0), "-1, expected a number above 0, or 0 for 1/sqrt(head size)");
}

#[test]
fn heads_wider_than_any_activation() {
    refused(
        &llama()
            .with("attention.head_count", Value::U32(65536))
            .with("attention.head_count_kv", Value::U32(1))
            .with("attention.key_length", Value::U32(65536))
            .with("attention.value_length", Value::U32(16)),
        "key \"llama.attention.head_count\" is 65536, expected heads of 65536 values that make up at most 16777216",
    );
}

#[test]
fn per_layer_arrays_of_a_wrong_length() {
    key(
        "attention.head_count",
        Value::Array(Array::U32(vec![4, 4, 4])),
        "an array of 3, expected one value for each of the 2 layers",
    );
}

#[test]
fn missing_keys_and_wrong_types() {
    refused(
        &llama().without("embedding_length"),
        "key \"llama.embedding_length\" is missing, expected a non-negative integer",
    );
    refused(
        &llama().without("attention.layer_norm_rms_epsilon"),
        "key \"llama.attention.layer_norm_rms_epsilon\" is missing, expected a number",
    );
    key("block_count", Value::String("two".into()), "string \"two\", expected a non-negative integer");
}

#[test]
fn features_without_steps() {
    let experts = "u32 8: the model needs mixture-of-experts steps (router and expert products), which are not \
                   supported; use a dense model";
    key("expert_count", Value::U32(8), experts);
    key(
        "attention.causal",
        Value::Bool(false),
        "bool false: the model is an encoder with two-way attention, which cannot generate text",
    );
    key("logit_scale", Value::F32(8.0), "f32 8: scaled logits are not supported for this architecture");
    for (suffix, neutral) in [
        ("expert_count", Value::U32(0)),
        ("attention.causal", Value::Bool(true)),
        ("logit_scale", Value::F32(1.0)),
        ("residual_scale", Value::F32(0.0)),
    ] {
        llama().with(suffix, neutral).plan();
    }
    let qwen3 =
        Small::new("qwen3", 1).tensor("blk.0.attn_q_norm.weight", &[16]).tensor("blk.0.attn_k_norm.weight", &[16]);
    let qwen3 = qwen3.with("attention.sliding_window", Value::U32(64));
    refused(
        &qwen3,
        "key \"qwen3.attention.sliding_window\" is 64: which layers it is for is not stated, and sliding windows are \
         not supported for this architecture",
    );
    qwen3.with("attention.sliding_window", Value::U32(128)).plan();
}

#[test]
fn every_refused_key_is_refused() {
    for suffix in [
        "attention.temperature_scale",
        "attention.shared_kv_layers",
        "attention.clamp_kqv",
        "attention.max_alibi_bias",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "embedding_scale",
        "residual_scale",
        "use_parallel_residual",
        "rope.freq_base_swa",
        "rope.scaling.alpha",
        "rope.scaling.yarn_attn_factor",
    ] {
        let message = llama().with(suffix, Value::F32(0.5)).refusal();
        let start = format!("small.gguf: key \"llama.{suffix}\" is f32 0.5: ");
        assert!(message.starts_with(&start) && message.contains("not supported"), "{message}");
    }
    for suffix in ["rope.dimension_sections", "attention.sliding_window_pattern"] {
        let message = llama().with(suffix, Value::Array(Array::I32(vec![8, 8]))).refusal();
        assert!(message.contains(suffix) && message.contains("array of 2 i32: "), "{message}");
    }
}

#[test]
fn rope_keys() {
    key(
        "rope.dimension_count",
        Value::U32(5),
        "5, expected an even number of values of a head, as they are rotated in pairs",
    );
    key("rope.dimension_count", Value::U32(18), "18, expected a whole number from 2 to 16");
    key("rope.freq_base", Value::F32(1.0), "1, expected a number above 1");
    key("rope.scaling.factor", Value::F32(-2.0), "-2, expected a number from 0.001 to 1000000, or 0 for none");
    key("rope.scaling.type", Value::String("dynamic".into()), "\"dynamic\", expected none, linear, yarn or longrope");
    key("rope.scaling.attn_factor", Value::F32(0.0), "0, expected a number from 0.001 to 1000000");
    let yarn = || llama().with("rope.scaling.type", Value::String("yarn".into()));
    refused(
        &yarn().with("rope.scaling.yarn_beta_fast", Value::F32(0.0)),
        "key \"llama.rope.scaling.yarn_beta_fast\" is 0, expected a number above 0",
    );
    refused(
        &yarn().with("rope.scaling.yarn_ext_factor", Value::F32(2.0)),
        "key \"llama.rope.scaling.yarn_ext_factor\" is 2, expected at most 1",
    );
    refused(
        &llama().with("rope.scaling.type", Value::String("longrope".into())),
        "tensor \"rope_factors_short.weight\" is missing, expected shape [8]; the file is incomplete, convert the \
         model again",
    );
}

#[test]
fn rope_tensors() {
    refused(
        &llama().vector("rope_freqs.weight", &[1.0; 4]),
        "tensor \"rope_freqs.weight\" has shape [4], expected [8] by the metadata",
    );
    let mut factors = [1.0; 8];
    factors[3] = 0.0;
    refused(
        &llama().vector("rope_freqs.weight", &factors),
        "tensor \"rope_freqs.weight\" holds 0, expected finite divisors of at least 0.001",
    );
    refused(
        &llama().bytes("rope_freqs.weight", &[8], GgmlType::F16, vec![0; 16]),
        "tensor \"rope_freqs.weight\" has type f16, expected f32",
    );
}

#[test]
fn tensors() {
    refused(
        &llama().drop_tensor("token_embd.weight").with("vocab_size", Value::U32(32)),
        "tensor \"token_embd.weight\" is missing, expected shape [64, 32]; the file is incomplete, convert the model \
         again",
    );
    refused(
        &llama().drop_tensor("token_embd.weight"),
        "key \"llama.vocab_size\" is missing, expected the number of token ids, as the file has neither tokens nor an \
         embedding",
    );
    refused(
        &llama().with("vocab_size", Value::U32(40)),
        "tensor \"token_embd.weight\" has shape [64, 32], expected [64, 40] by the metadata",
    );
    refused(
        &Small::new("qwen2", 1),
        "tensor \"blk.0.attn_q.bias\" is missing, expected shape [64]; the file is incomplete, convert the model again",
    );
    refused(
        &Small::new("qwen3", 1),
        "tensor \"blk.0.attn_q_norm.weight\" is missing, expected shape [16]; the file is incomplete, convert the \
         model again",
    );
    refused(
        &llama().tensor("blk.0.attn_q.scale", &[1]),
        "tensor \"blk.0.attn_q.scale\" is not part of a llama model that this version knows; running without it \
         would give wrong results",
    );
}
