//! What the call of attention_prefill refuses, how it says it, and when it is chosen.

mod support;

use turbo_backend::{KvLayer, KvShape};
use turbo_gpu::attention::decode::{AttentionDecode, Scratch, Sequence, Side};
use turbo_gpu::attention::job::Way;
use turbo_gpu::attention::prefill::{AttentionPrefill, KeyBiasParts, Variants};
use turbo_gpu::kv::cache::PoolPart;
use turbo_quant::KvType;
use turbo_wgsl::attention::attention_prefill::KERNEL;

use support::gpu;

fn layer(head_dim: usize) -> KvLayer {
    let shape = KvShape { n_kv_heads: 2, head_dim_k: head_dim, head_dim_v: head_dim };
    KvLayer::new(shape, KvType::Turbo4, KvType::Turbo4).unwrap()
}

#[test]
fn calls_that_do_not_fit_their_buffers_are_refused() {
    let Some(gpu) = gpu() else { return };
    let layer = layer(64);
    // Three query tokens with four heads, at positions 300 .. 303 of five blocks.
    let (tokens, heads, d) = (3, 4, 64);
    let known = [Sequence { first: 0, tokens, start: 300, table: 0 }];
    let (k_words, v_words) = (layer.k.block_words(), layer.v.block_words());
    let pool = gpu.buffer::<u32>("pool", 5 * (k_words + v_words)).unwrap();
    let sequences = gpu.upload("sequences", &known).unwrap();
    let tables = gpu.upload("tables", &[0_u32, 1, 2, 3, 4]).unwrap();
    let rows = (tokens * heads) as usize;
    let query = gpu.buffer::<f32>("query", rows * d).unwrap();
    let (faults, out) = (gpu.buffer::<u32>("faults", rows).unwrap(), gpu.buffer::<f32>("out", rows * d).unwrap());
    let scratch = Scratch::new(&gpu, &layer, rows, 0).unwrap();
    let short = gpu.buffer::<f32>("short", 4).unwrap();
    let part = PoolPart { bind: pool.bind(), first_block: 0, blocks: 5, block_words: (k_words + v_words) as u32 };
    let good = AttentionDecode {
        layer: &layer,
        n_heads: heads,
        known: &known,
        sequences: sequences.bind(),
        tables: tables.bind(),
        query: query.bind(),
        k: Side { pool: part, offset: 0 },
        v: Side { pool: part, offset: k_words as u32 },
        scale: 0.125,
        window: None,
        soft_cap: None,
        sinks: None,
        key_bias: None,
        scratch: &scratch,
        faults: faults.bind(),
        out: out.bind(),
    };
    let portable = KERNEL.variants.iter().find(|x| x.name == "k_turbo4,v_turbo4,r16").unwrap();
    let codes = Variants::find(&gpu, &layer).unwrap().unwrap().codes;
    let record = |job, key_bias, variants: &Variants| {
        AttentionPrefill { job, key_bias }.record_with(&mut gpu.recorder("call"), variants)
    };
    let variants = Variants { prefill: portable, codes };
    record(good, None, &variants).unwrap();
    let refused = |job, part: &str| {
        let message = record(job, None, &variants).unwrap_err().to_string();
        assert!(message.contains("attention/attention_prefill: ") && message.contains(part), "{message}");
    };
    refused(AttentionDecode { n_heads: 5, ..good }, "5 query heads are no multiple of 2 K/V heads");
    refused(AttentionDecode { query: short.bind(), ..good }, "query has 16 bytes, 3072 are needed");
    refused(AttentionDecode { out: short.bind(), ..good }, "out has 16 bytes, 3072 are needed");
    refused(AttentionDecode { faults: short.bind(), ..good }, "faults has 16 bytes, 48 are needed");
    let many = [Sequence { tokens: 1 << 30, ..known[0] }];
    refused(AttentionDecode { known: &many, ..good }, "1 sequences of up to 1073741824 query tokens are too many");
    let later = PoolPart { first_block: 1, ..part };
    refused(AttentionDecode { k: Side { pool: later, offset: 0 }, ..good }, "the K pool lies in several bindings");

    let bias = |stride| Some(KeyBiasParts { parts: short.bind(), stride });
    let message = record(good, bias(256), &variants).unwrap_err().to_string();
    assert!(message.contains("sequences see 2 chunks, a row of key_bias has 256 keys"), "{message}");
    let message = record(good, bias(512), &variants).unwrap_err().to_string();
    assert!(message.contains("key_bias has 16 bytes, 24576 are needed"), "{message}");

    let whole = KERNEL.variants.iter().find(|x| x.name == "k_turbo4,v_turbo4,whole,r32,subgroup").unwrap();
    let message = record(good, None, &Variants { prefill: whole, codes }).unwrap_err().to_string();
    assert!(message.contains("is for heads of multiples of 128 values, found 64 (K) and 64 (V)"), "{message}");
}

#[test]
fn many_rows_are_left_to_prefill_and_few_to_decode() {
    let Some(gpu) = gpu() else { return };
    let layer = layer(64);
    let way = |tokens, keys: u32| {
        let known = [Sequence { first: 0, tokens, start: keys - tokens, table: 0 }];
        Way::choose(&gpu, &layer, 8, &known, None).unwrap()
    };
    assert!(matches!(way(1, 4096), Way::Decode(_)));
    assert!(matches!(way(512, 512), Way::Prefill(_)));
    assert!(matches!(way(512, 131_072), Way::Prefill(_)));
    // Two workgroups that would walk over all keys alone.
    assert!(matches!(way(4, 131_072), Way::Decode(_)));
    let scratch = way(512, 512).scratch(&gpu, &layer, 512 * 8, 2).unwrap();
    drop(scratch);
}
