//! What the calls refuse that take heads straight from their product, or leave attention as codes.

mod support;

use turbo_backend::plan::RopeStyle;
use turbo_backend::{KvLayer, KvShape, SideLayout};
use turbo_gpu::attention::decode::Scratch;
use turbo_gpu::attention::queries::{RopedQueries, roped_variant};
use turbo_gpu::kv::HeadSizes;
use turbo_gpu::kv::cache::{PoolPart, Rows};
use turbo_gpu::kv::kv_encode::{KvEncode, NewHeads};
use turbo_gpu::kv::kv_encode_roped::{KvEncodeRoped, variant};
use turbo_gpu::ops::HeadNorm;
use turbo_gpu::turn::Turn;
use turbo_quant::KvType;

use support::gpu;

const STYLE: RopeStyle = RopeStyle::Neox;

#[test]
fn keys_that_cannot_be_turned_or_stored_are_refused() {
    let Some(gpu) = gpu() else { return };
    let layout = SideLayout::new(KvType::Turbo4, 2, 128).unwrap();
    let words = layout.block_words();
    let x = gpu.buffer::<f32>("x", 4 * 256).unwrap();
    let slots = gpu.buffer::<u32>("slots", 4).unwrap();
    let pool = gpu.buffer::<u32>("pool", 2 * words).unwrap();
    let faults = gpu.buffer::<u32>("faults", 4).unwrap();
    let factors = gpu.buffer::<f32>("factors", 4 * 128).unwrap();
    let weight = gpu.buffer::<f32>("weight", 64).unwrap();
    let part = PoolPart { bind: pool.bind(), first_block: 0, blocks: 2, block_words: words as u32 };
    let k = NewHeads { rows: Rows { bind: x.bind(), first: 0, row: 256 }, layout, offset: 0 };
    let (slots, faults, fault, tokens) = (slots.bind(), faults.bind(), 0, 4);
    let encode = KvEncode { k: Some(k), v: None, tokens, slots, pool: part, faults, fault };
    let turn = Turn { norm: None, pairs: 64, style: STYLE, factors: factors.bind(), first_token: 0 };
    let sizes = (128, 64, STYLE);
    let Some(chosen) = variant(&gpu, KvType::Turbo4, HeadSizes::H128, sizes).unwrap() else {
        panic!("there is a variant on every device");
    };
    let good = KvEncodeRoped { encode, turn };
    good.record_with(&mut gpu.recorder("good"), chosen).unwrap();
    let refused = |call: KvEncodeRoped<'_>, reason: &str| {
        let message = call.record_with(&mut gpu.recorder("refused"), chosen).unwrap_err().to_string();
        assert_eq!(message, format!("kernel kv/kv_encode_roped: {reason}"));
    };
    refused(KvEncodeRoped { encode: KvEncode { k: None, ..encode }, turn }, "there are no keys");
    let other = NewHeads { layout: SideLayout::new(KvType::Turbo3, 2, 128).unwrap(), ..k };
    let encode = |v| KvEncodeRoped { encode: KvEncode { v: Some(v), ..encode }, turn };
    refused(encode(other), "K is stored as turbo4, V as turbo3: not in one dispatch");
    let turned = |turn| KvEncodeRoped { turn, ..good };
    refused(turned(Turn { pairs: 66, ..turn }), "66 pairs (Neox) of heads of 128 values are no whole vectors of 4");
    refused(turned(Turn { first_token: 1, ..turn }), "factors has 2048 bytes, 2560 are needed");
    let norm = Some(HeadNorm { weight: weight.bind(), eps: 1e-6 });
    refused(turned(Turn { norm, ..turn }), "weight has 256 bytes, 512 are needed");
    refused(KvEncodeRoped { encode: KvEncode { tokens: 5, ..good.encode }, turn }, "5 tokens, slots has 4 words");
    assert!(variant(&gpu, KvType::F16, HeadSizes::Any, (18, 9, STYLE)).unwrap().is_none());
}

#[test]
fn queries_that_cannot_be_turned_are_refused() {
    let Some(gpu) = gpu() else { return };
    let shape = KvShape { n_kv_heads: 2, head_dim_k: 128, head_dim_v: 128 };
    let layer = KvLayer::new(shape, KvType::Turbo4, KvType::Turbo4).unwrap();
    let halves = KvLayer::new(shape, KvType::F16, KvType::F16).unwrap();
    let query = gpu.buffer::<f32>("query", 8 * 128).unwrap();
    let factors = gpu.buffer::<f32>("factors", 2 * 128).unwrap();
    let faults = gpu.buffer::<u32>("faults", 8).unwrap();
    let scratch = Scratch::new(&gpu, &layer, 8, 1).unwrap();
    let turn = Turn { norm: None, pairs: 64, style: STYLE, factors: factors.bind(), first_token: 0 };
    let (scale, n_heads, tokens) = (0.1, 4, 2);
    let (query, faults) = (query.bind(), faults.bind());
    let good = RopedQueries { layer: &layer, n_heads, tokens, query, turn, scale, scratch: &scratch, faults };
    let Some(chosen) = roped_variant(&gpu, KvType::Turbo4, (128, 64, STYLE)).unwrap() else {
        panic!("there is a variant on every device");
    };
    good.record_with(&mut gpu.recorder("good"), chosen).unwrap();
    let refused = |call: RopedQueries<'_>, reason: &str| {
        let message = call.record_with(&mut gpu.recorder("refused"), chosen).unwrap_err().to_string();
        assert_eq!(message, format!("kernel attention/query_codes_roped: {reason}"));
    };
    refused(RopedQueries { layer: &halves, ..good }, "keys of f16 with heads of 128 values take no codes");
    refused(RopedQueries { tokens: 3, ..good }, "query has 4096 bytes, 6144 are needed");
    let turn = Turn { first_token: 1, ..turn };
    refused(RopedQueries { turn, ..good }, "factors has 1024 bytes, 1536 are needed");
    assert!(roped_variant(&gpu, KvType::F16, (128, 64, STYLE)).unwrap().is_none());
    assert!(roped_variant(&gpu, KvType::Turbo4, (128, 6, STYLE)).unwrap().is_none());
}
