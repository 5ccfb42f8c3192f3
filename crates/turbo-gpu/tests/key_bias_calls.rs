//! What the calls of key biases refuse, and how they say it.

mod support;

use turbo_backend::key_bias::{KeyTurns, SlotBias};
use turbo_backend::plan::{RopeStyle, RopeTable};
use turbo_backend::{KvLayer, KvShape};
use turbo_gpu::Gpu;
use turbo_gpu::attention::decode::{AttentionDecode, Scratch, Sequence, Side};
use turbo_gpu::attention::key_bias::{KeyBias, KeyBiasTables, KeyTurnTables, SlotBiasTable};
use turbo_gpu::kv::cache::PoolPart;
use turbo_quant::KvType;
use turbo_wgsl::attention::key_bias::P64;

use support::gpu;

/// Tables for heads of `head_dim` values of which `2 * pairs` are rotated, over `reach` positions.
fn tables(gpu: &Gpu, kv_heads: usize, head_dim: usize, pairs: usize, reach: usize) -> (SlotBiasTable, KeyTurnTables) {
    let table = RopeTable { style: RopeStyle::Neox, inv_freq: vec![0.5; pairs], magnitude: 1.0 };
    let mut turns = KeyTurns::new(&table);
    turns.reach(reach);
    let slot = SlotBias::new(&vec![1.0; kv_heads * head_dim], head_dim, &table, &turns).expect("finite");
    (SlotBiasTable::new(gpu, &slot).unwrap(), KeyTurnTables::new(gpu, &turns).unwrap())
}

#[test]
fn calls_that_do_not_fit_their_tables_and_buffers_are_refused() {
    let Some(gpu) = gpu() else { return };
    let (slot, turns) = tables(&gpu, 2, 64, 32, 512);
    let known = [Sequence { first: 0, tokens: 2, start: 256, table: 0 }];
    let sequences = gpu.upload("sequences", &known).unwrap();
    let query = gpu.buffer::<f32>("query", 8 * 64).unwrap();
    let out = gpu.buffer::<i32>("out", 8 * 512).unwrap();
    let good = KeyBias {
        tables: KeyBiasTables { slot: &slot, turns: &turns },
        n_heads: 4,
        known: &known,
        sequences: sequences.bind(),
        query: query.bind(),
        scale: 1.0,
        window: None,
        rows: 0..8,
        slots: 2,
        out: out.bind(),
    };
    let refused = |call: KeyBias<'_>, part: &str| {
        let message = call.record(&mut gpu.recorder("refused")).unwrap_err().to_string();
        assert!(message.contains("attention/key_bias: ") && message.contains(part), "{message}");
    };
    good.record(&mut gpu.recorder("good")).unwrap();
    let call = || good.clone();
    refused(KeyBias { n_heads: 3, ..call() }, "3 query heads are no multiple of the bias's 2 K/V heads");
    refused(KeyBias { rows: 0..9, ..call() }, "rows 0..9 of 2 tokens of 4 heads");
    refused(KeyBias { slots: 1, ..call() }, "sequences see 2 chunks, out has room for 1 of a row");
    refused(KeyBias { slots: 3, ..call() }, "out has 16384 bytes, 24576 are needed");
    refused(KeyBias { query: sequences.bind(), ..call() }, "query has 16 bytes, 2048 are needed");
    let far = [Sequence { start: 511, ..known[0] }];
    refused(
        KeyBias { known: &far, slots: 3, ..call() },
        "sequences of 513 positions, the rotation's tables reach over 512",
    );
    let two = [known[0], Sequence { first: 2, ..known[0] }];
    refused(KeyBias { known: &two, ..call() }, "sequences has 16 bytes, 32 are needed");
    let (wide, wide_turns) = tables(&gpu, 2, 160, 80, 512);
    let wide = KeyBias { tables: KeyBiasTables { slot: &wide, turns: &wide_turns }, ..call() };
    let message = wide.record_with(&mut gpu.recorder("refused"), P64, 1).unwrap_err().to_string();
    assert!(message.contains("is for heads with up to 128 rotated values, found 160"), "{message}");
    let (large, all) = tables(&gpu, 2, 592, 32, 512);
    let with = |slot, turns| KeyBias { tables: KeyBiasTables { slot, turns }, ..call() };
    refused(with(&large, &all), "heads of 592 values: up to 576 can be done");
    let (_, fewer) = tables(&gpu, 2, 64, 16, 512);
    refused(
        with(&slot, &fewer),
        "the bias has 32 pairs in heads of 64 values, the rotation 16 of 32 values: they were not made for each other",
    );
}

#[test]
fn attention_refuses_a_key_bias_of_another_slot_or_without_room() {
    let Some(gpu) = gpu() else { return };
    let shape = KvShape { n_kv_heads: 2, head_dim_k: 64, head_dim_v: 64 };
    let layer = KvLayer::new(shape, KvType::Turbo4, KvType::Turbo4).unwrap();
    let known = [Sequence { first: 0, tokens: 1, start: 0, table: 0 }];
    let sequences = gpu.upload("sequences", &known).unwrap();
    let buffer = gpu.buffer::<f32>("heads", 2 * 64).unwrap();
    let words = layer.k.block_words() + layer.v.block_words();
    let pool = gpu.buffer::<u32>("pool", words).unwrap();
    let pool = PoolPart { bind: pool.bind(), first_block: 0, blocks: 1, block_words: words as u32 };
    let bare = Scratch::new(&gpu, &layer, 2, 1).unwrap();
    let roomy = Scratch::new(&gpu, &layer, 2, 1).unwrap().with_key_bias(&gpu).unwrap();
    let (slot, turns) = tables(&gpu, 2, 64, 32, 64);
    let (other, other_turns) = tables(&gpu, 1, 128, 32, 64);
    let call = |slot, turns, scratch| AttentionDecode {
        layer: &layer,
        n_heads: 2,
        known: &known,
        sequences: sequences.bind(),
        tables: sequences.bind(),
        query: buffer.bind(),
        k: Side { pool, offset: 0 },
        v: Side { pool, offset: layer.k.block_words() as u32 },
        scale: 1.0,
        window: None,
        soft_cap: None,
        sinks: None,
        key_bias: Some(KeyBiasTables { slot, turns }),
        scratch,
        faults: buffer.bind(),
        out: buffer.bind(),
    };
    let refused = |call: AttentionDecode<'_>, part: &str| {
        let message = call.record(&mut gpu.recorder("refused")).unwrap_err().to_string();
        assert!(message.contains("attention/attention_decode: ") && message.contains(part), "{message}");
    };
    call(&slot, &turns, &roomy).record(&mut gpu.recorder("good")).unwrap();
    refused(call(&slot, &turns, &bare), "scratch has no room for the parts of a key bias");
    refused(
        call(&other, &other_turns, &roomy),
        "the key bias is of 1 heads of 128 values, the cache slot of 2 heads of 64",
    );
}
