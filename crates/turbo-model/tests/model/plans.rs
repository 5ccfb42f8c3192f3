//! What plans look like.

use turbo_backend::KvShape;
use turbo_backend::plan::{Plan, RopeStyle, Step};
use turbo_gguf::{Array, GgufFile, Value};
use turbo_model::{build_plan, supported_architectures};

use crate::small::Small;

fn shared_plan(name: &str) -> Option<Plan> {
    let path = turbo_testkit::shared(name)?;
    let file = GgufFile::open(&path).expect("the shared file opens");
    Some(build_plan(&file).expect("the shared file has a plan"))
}

/// Every id is inside its table and every width fits its neighbours.
fn check(plan: &Plan) {
    let w = |id| plan.weight(id);
    for step in &plan.steps {
        match *step {
            Step::Embed { table, out, .. } => {
                assert_eq!((w(table).cols, w(table).rows), (plan.width(out), plan.n_vocab));
            }
            Step::RmsNorm { x, weight, out, .. } => {
                assert_eq!(plan.width(x), plan.width(out));
                assert_eq!((plan.width(x) % w(weight).cols, w(weight).rows), (0, 1));
            }
            Step::MatMul { x, weight, bias, out } => {
                assert_eq!((w(weight).cols, w(weight).rows), (plan.width(x), plan.width(out)));
                assert!(x != out, "{}: a product cannot be written over its input", w(weight).tensor);
                if let Some(bias) = bias {
                    assert_eq!((w(bias).cols, w(bias).rows), (plan.width(out), 1));
                }
            }
            Step::Rope { x, head_dim, rope } => {
                assert_eq!(plan.width(x) % head_dim, 0);
                assert!(2 * plan.ropes[rope].inv_freq.len() <= head_dim);
            }
            Step::KvWrite { slot, k, v } => {
                let KvShape { n_kv_heads, head_dim_k, head_dim_v } = plan.kv[slot];
                assert_eq!(plan.width(k), n_kv_heads * head_dim_k);
                assert_eq!(plan.width(v), n_kv_heads * head_dim_v);
            }
            Step::Attention { slot, q, out, spec } => {
                let KvShape { n_kv_heads, head_dim_k, head_dim_v } = plan.kv[slot];
                assert_eq!(plan.width(q), spec.n_heads * head_dim_k);
                assert_eq!(plan.width(out), spec.n_heads * head_dim_v);
                assert_eq!(spec.n_heads % n_kv_heads, 0);
            }
            Step::GatedAct { gate, up, .. } => assert_eq!(plan.width(gate), plan.width(up)),
            Step::Add { x, y } => assert_eq!(plan.width(x), plan.width(y)),
            _ => {}
        }
    }
    assert_eq!(plan.layer_starts.len(), plan.n_layers);
    assert_eq!(plan.width(plan.logits), plan.n_vocab);
    let select = plan.steps.iter().position(|s| matches!(s, Step::SelectLogits { .. }));
    let attention = plan.steps.iter().rposition(|s| matches!(s, Step::Attention { .. }));
    assert_eq!(select, attention.map(|at| at + 3), "logits are selected after output product and sum");
}

#[test]
fn a_small_llama_as_text() {
    let plan = Small::new("llama", 1).plan();
    check(&plan);
    let want = "\
llama: 1 layers, width 64, 32 token ids, context 128
kv slots 0 to 0: 2 heads of 16 (K) and 16 (V)
rope 0: interleaved, 8 pairs, magnitude 1
  embed x[64] = token_embd.weight[32x64] * 1
layer 0
  rms_norm hidden[64] = x[64] by blk.0.attn_norm.weight[1x64], eps 0.00001
  mat_mul q[64] = blk.0.attn_q.weight[64x64] * hidden[64]
  mat_mul k[32] = blk.0.attn_k.weight[32x64] * hidden[64]
  mat_mul v[32] = blk.0.attn_v.weight[32x64] * hidden[64]
  rope q[64] in heads of 16, rope 0
  rope k[32] in heads of 16, rope 0
  kv_write slot 0 = k[32], v[32]
  attention heads[64] = q[64] over slot 0, 4 heads, scale 0.25
  mat_mul hidden[64] = blk.0.attn_output.weight[64x64] * heads[64]
  add x[64] += hidden[64]
  select_logits x[64]
  rms_norm hidden[64] = x[64] by blk.0.ffn_norm.weight[1x64], eps 0.00001
  mat_mul gate[48] = blk.0.ffn_gate.weight[48x64] * hidden[64]
  mat_mul up[48] = blk.0.ffn_up.weight[48x64] * hidden[64]
  gated_act gate[48] = silu(gate[48]) * up[48]
  mat_mul hidden[64] = blk.0.ffn_down.weight[64x48] * gate[48]
  add x[64] += hidden[64]
  rms_norm hidden[64] = x[64] by output_norm.weight[1x64], eps 0.00001
  mat_mul logits[32] = token_embd.weight[32x64] * hidden[64]
result logits[32]
";
    assert_eq!(plan.to_string(), want);
}

#[test]
fn plans_of_the_fixtures() {
    for (name, layers, heads, head_dim, vocab, style, tied) in [
        ("llama", 3, (4, 2), 64, 1024, RopeStyle::Interleaved, true),
        ("mistral", 3, (2, 1), 128, 1024, RopeStyle::Interleaved, false),
        ("qwen2", 3, (4, 2), 64, 1024, RopeStyle::Neox, true),
        ("qwen3", 3, (4, 2), 128, 1024, RopeStyle::Neox, true),
    ] {
        let Some(plan) = shared_plan(&format!("fixtures/arch/{name}.f16.gguf")) else {
            continue;
        };
        check(&plan);
        assert_eq!((plan.n_layers, plan.d_model, plan.n_vocab), (layers, 256, vocab), "{name}");
        assert_eq!((plan.context_length, plan.ropes[0].style), (2048, style), "{name}");
        let shape = KvShape { n_kv_heads: heads.1, head_dim_k: head_dim, head_dim_v: head_dim };
        assert_eq!(plan.kv, vec![shape; layers], "{name}");
        let has_output = plan.weights.iter().any(|w| w.tensor == "output.weight");
        assert_eq!(has_output, !tied, "{name}");
        let text = plan.to_string();
        assert_eq!(text.contains("+ blk.2.attn_v.bias"), name == "qwen2");
        assert_eq!(text.contains("rms_norm q[512] = q[512] by blk.0.attn_q_norm"), name == "qwen3");
    }
}

#[test]
fn plans_of_the_test_models() {
    for (file, layers, d_model, kv, head_dim) in [
        ("tiny-qwen3-34m.q4_k_m", 8, 512, 2, 128),
        ("tiny-qwen3-34m.q8_0", 8, 512, 2, 128),
        ("tiny-llama-5m.f16", 4, 256, 2, 64),
        ("tiny-llama-5m.q8_0", 4, 256, 2, 64),
    ] {
        let Some(plan) = shared_plan(&format!("models/{file}.gguf")) else {
            continue;
        };
        check(&plan);
        assert_eq!((plan.n_layers, plan.d_model, plan.n_vocab), (layers, d_model, 8192), "{file}");
        let shape = KvShape { n_kv_heads: kv, head_dim_k: head_dim, head_dim_v: head_dim };
        assert_eq!((plan.kv.len(), plan.kv[0], plan.context_length), (layers, shape, 32768), "{file}");
    }
}

#[test]
fn every_supported_architecture_has_a_plan_with_its_own_tensors() {
    for &name in supported_architectures() {
        let mut small = Small::new(name, 2);
        for layer in 0..2 {
            for (part, width) in [("q", 64), ("k", 32), ("v", 32)] {
                if name == "qwen2" {
                    small = small.tensor(&format!("blk.{layer}.attn_{part}.bias"), &[width]);
                }
                if name == "qwen3" && part != "v" {
                    small = small.tensor(&format!("blk.{layer}.attn_{part}_norm.weight"), &[16]);
                }
            }
        }
        let plan = small.plan();
        check(&plan);
        assert_eq!(plan.architecture, name);
    }
}

#[test]
fn optional_tensors_of_llama_are_used() {
    let small = Small::new("llama", 1)
        .tensor("output.weight", &[64, 32])
        .tensor("blk.0.attn_q.bias", &[64])
        .tensor("blk.0.attn_output.bias", &[64])
        .tensor("blk.0.ffn_down.bias", &[64]);
    let plan = small.plan();
    check(&plan);
    let text = plan.to_string();
    for part in [
        "* hidden[64] + blk.0.attn_q.bias",
        "+ blk.0.attn_output.bias",
        "+ blk.0.ffn_down.bias",
        "= output.weight[32x64]",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn values_are_shared_by_all_layers() {
    assert_eq!(Small::new("llama", 1).plan().values, Small::new("llama", 5).plan().values);
}

#[test]
fn sizes_may_differ_from_layer_to_layer() {
    let small = Small::new("llama", 2)
        .with("attention.head_count_kv", Value::Array(Array::I32(vec![2, 4])))
        .with("feed_forward_length", Value::Array(Array::U32(vec![48, 80])))
        .tensor("blk.1.attn_k.weight", &[64, 64])
        .tensor("blk.1.attn_v.weight", &[64, 64])
        .tensor("blk.1.ffn_gate.weight", &[64, 80])
        .tensor("blk.1.ffn_up.weight", &[64, 80])
        .tensor("blk.1.ffn_down.weight", &[80, 64]);
    let plan = small.plan();
    check(&plan);
    assert_eq!(plan.kv.iter().map(|kv| kv.n_kv_heads).collect::<Vec<_>>(), [2, 4]);
}

#[test]
fn k_and_v_heads_may_have_sizes_of_their_own() {
    let small = Small::new("llama", 1)
        .without("attention.head_count_kv")
        .with("attention.key_length", Value::U32(24))
        .with("attention.value_length", Value::U32(8))
        .tensor("blk.0.attn_q.weight", &[64, 96])
        .tensor("blk.0.attn_k.weight", &[64, 96])
        .tensor("blk.0.attn_v.weight", &[64, 32])
        .tensor("blk.0.attn_output.weight", &[32, 64]);
    let plan = small.plan();
    check(&plan);
    assert_eq!(plan.kv, [KvShape { n_kv_heads: 4, head_dim_k: 24, head_dim_v: 8 }]);
}

#[test]
fn attention_scale_and_window_reach_the_attention_step() {
    let plan = |architecture, scale, window| {
        Small::new(architecture, 1)
            .with("attention.scale", Value::F32(scale))
            .with("attention.sliding_window", Value::U32(window))
            .plan()
            .to_string()
    };
    assert!(plan("llama", 0.5, 100).contains("4 heads, scale 0.5, window 100\n"));
    assert!(plan("llama", 0.0, 0).contains("4 heads, scale 0.25\n"));
}

#[test]
fn the_vocabulary_is_the_tokenizer_s() {
    let tokens = |n| Value::Array(Array::String(vec!["a".to_owned(); n]));
    let small = || Small::new("llama", 1).with("vocab_size", Value::U32(32));
    assert_eq!(small().plan().n_vocab, 32);
    let small = small().with_key("tokenizer.ggml.tokens", tokens(30));
    assert_eq!(
        small.refusal(),
        "small.gguf: tensor \"token_embd.weight\" has shape [64, 32], expected [64, 30] by the metadata"
    );
    assert_eq!(small.tensor("token_embd.weight", &[64, 30]).plan().n_vocab, 30);
}

#[test]
fn trailing_dimensions_of_1_do_not_matter() {
    check(&Small::new("llama", 1).tensor("output_norm.weight", &[64, 1]).plan());
}
