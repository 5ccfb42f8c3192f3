//! What the calls of the attention kernels refuse, and how they say it.

mod support;

use turbo_backend::{KvLayer, KvShape};
use turbo_gpu::attention::decode::{Around, AttentionDecode, Scratch, Sequence, Side, Variants};
use turbo_gpu::attention::queries::QueryCodes;
use turbo_gpu::kv::cache::PoolPart;
use turbo_gpu::matmul::Codes;
use turbo_gpu::{Buffer, Gpu};
use turbo_quant::KvType;
use turbo_wgsl::attention::query_codes;

use support::gpu;

fn layer(k: KvType, v: KvType, d: usize) -> KvLayer {
    KvLayer::new(KvShape { n_kv_heads: 2, head_dim_k: d, head_dim_v: d }, k, v).expect("a supported head size")
}

/// One query token with 8 heads on 2 K/V heads of 128 values in each of two sequences with 300 keys.
struct Good {
    layer: KvLayer,
    known: [Sequence; 2],
    sequences: Buffer<Sequence>,
    tables: Buffer<u32>,
    query: Buffer<f32>,
    pool: Buffer<u32>,
    faults: Buffer<u32>,
    sinks: Buffer<f32>,
    out: Buffer<f32>,
    scratch: Scratch,
}

impl Good {
    const ROWS: usize = 16;

    fn new(gpu: &Gpu, k: KvType, v: KvType) -> Self {
        let layer = layer(k, v, 128);
        let known = [0, 1].map(|i| Sequence { first: i, tokens: 1, start: 299, table: 5 * i });
        Self {
            known,
            sequences: gpu.upload("sequences", &known).unwrap(),
            tables: gpu.upload("tables", &[0, 1, 2, 3, 4, 4, 3, 2, 1, 0]).unwrap(),
            query: gpu.buffer("query", Self::ROWS * 128).unwrap(),
            pool: gpu.buffer("pool", 5 * (layer.k.block_words() + layer.v.block_words())).unwrap(),
            faults: gpu.buffer("faults", Self::ROWS).unwrap(),
            sinks: gpu.buffer("sinks", 8).unwrap(),
            out: gpu.buffer("out", Self::ROWS * 128).unwrap(),
            scratch: Scratch::new(gpu, &layer, Self::ROWS, 2).unwrap(),
            layer,
        }
    }

    fn call(&self) -> AttentionDecode<'_> {
        let words = self.layer.k.block_words() + self.layer.v.block_words();
        let pool = PoolPart { bind: self.pool.bind(), first_block: 0, blocks: 5, block_words: words as u32 };
        AttentionDecode {
            layer: &self.layer,
            n_heads: 8,
            known: &self.known,
            sequences: self.sequences.bind(),
            tables: self.tables.bind(),
            query: self.query.bind(),
            k: Side { pool, offset: 0 },
            v: Side { pool, offset: self.layer.k.block_words() as u32 },
            scale: 0.1,
            window: None,
            soft_cap: None,
            sinks: Some(self.sinks.bind()),
            key_bias: None,
            scratch: &self.scratch,
            faults: self.faults.bind(),
            out: self.out.bind(),
        }
    }
}

/// Asserts that recording `call` fails with a message that names the kernel and ends with `reason`.
#[track_caller]
fn refused(gpu: &Gpu, call: AttentionDecode<'_>, reason: &str) {
    let message = call.record(&mut gpu.recorder("refused")).unwrap_err().to_string();
    assert_eq!(message, format!("kernel attention/attention_decode: {reason}"));
}

#[test]
fn sizes_that_no_kernel_takes_are_refused() {
    let Some(gpu) = gpu() else { return };
    let good = Good::new(&gpu, KvType::Turbo4, KvType::Turbo3);
    let call = good.call();
    call.record(&mut gpu.recorder("good")).unwrap();
    refused(&gpu, AttentionDecode { n_heads: 3, ..call }, "3 query heads are no multiple of 2 K/V heads");
    refused(&gpu, AttentionDecode { n_heads: 0, ..call }, "0 query heads are no multiple of 2 K/V heads");
    let wide = layer(KvType::Turbo4, KvType::Turbo3, 592);
    refused(
        &gpu,
        AttentionDecode { layer: &wide, ..call },
        "heads of 592 (K) and 592 (V) values: multiples of 16 up to 576 can be done",
    );
    let odd = layer(KvType::F16, KvType::F16, 72);
    refused(
        &gpu,
        AttentionDecode { layer: &odd, ..call },
        "heads of 72 (K) and 72 (V) values: multiples of 16 up to 576 can be done",
    );
    let many = vec![Sequence { first: 0, tokens: 2, start: u32::MAX / 2, table: 0 }; 128];
    refused(
        &gpu,
        AttentionDecode { known: &many, ..call },
        "128 sequences of up to 8388609 chunks are too many for one dispatch",
    );
    // The window decides what a sequence sees.
    let long = good.known.map(|sequence| Sequence { start: 100_000, ..sequence });
    refused(&gpu, AttentionDecode { known: &long, ..call }, "sequences see 391 chunks, scratch has room for 2");
    AttentionDecode { known: &long, window: Some(200), ..call }.record(&mut gpu.recorder("good")).unwrap();
}

#[test]
fn variants_for_heads_of_128_refuse_others() {
    let Some(gpu) = gpu() else { return };
    let good = Good::new(&gpu, KvType::Turbo4, KvType::Turbo4);
    let chosen = Variants::choose(&gpu, &good.layer, 4).unwrap();
    let large = turbo_wgsl::attention::attention_decode::KERNEL.variants.iter();
    let Some(decode) = large.into_iter().find(|v| v.name.starts_with("k_turbo4,v_turbo4,h128")) else {
        panic!("there are variants for heads of 128 values");
    };
    let variants = Variants { decode, ..chosen };
    let small = layer(KvType::Turbo4, KvType::Turbo4, 64);
    let call = AttentionDecode { layer: &small, ..good.call() };
    let message = call.record_with(&mut gpu.recorder("refused"), &variants).unwrap_err().to_string();
    let start = format!(
        "kernel attention/attention_decode: {} is for heads of 128 values in blocks of whole vectors, found KvLayer",
        decode.label
    );
    assert!(message.starts_with(&start), "{message}");
    let combines = turbo_wgsl::attention::attention_combine::KERNEL.variants.iter();
    let Some(combine) = combines.into_iter().find(|v| v.name == "v_turbo4,h128,subgroup") else {
        panic!("there is a variant for heads of 128 values");
    };
    let variants = Variants { combine, ..Variants::choose(&gpu, &small, 4).unwrap() };
    let message = call.record_with(&mut gpu.recorder("refused"), &variants).unwrap_err().to_string();
    assert_eq!(
        message,
        format!("kernel attention/attention_decode: {} is for heads of 128 values, found 64", combine.label)
    );
}

#[test]
fn buffers_that_are_too_small_are_refused() {
    let Some(gpu) = gpu() else { return };
    for (k, v) in [(KvType::Turbo4, KvType::Turbo3), (KvType::F16, KvType::F16)] {
        let good = Good::new(&gpu, k, v);
        let call = good.call();
        call.record(&mut gpu.recorder("good")).unwrap();
        let small = gpu.buffer::<u32>("small", 4).unwrap();
        let small = small.bind();
        refused(&gpu, AttentionDecode { query: small, ..call }, "query has 16 bytes, 8192 are needed");
        refused(&gpu, AttentionDecode { out: small, ..call }, "out has 16 bytes, 8192 are needed");
        refused(&gpu, AttentionDecode { faults: small, ..call }, "faults has 16 bytes, 64 are needed");
        refused(&gpu, AttentionDecode { sinks: Some(small), ..call }, "sinks has 16 bytes, 32 are needed");
        refused(&gpu, AttentionDecode { sequences: small, ..call }, "sequences has 16 bytes, 32 are needed");
        // One row fewer than there are; values of half the size.
        let scratch = Scratch::new(&gpu, &good.layer, Good::ROWS - 1, 2).unwrap();
        let message =
            if k == KvType::F16 { "scratch has 1920 bytes, 2048 are" } else { "scratch has 60 bytes, 64 are" };
        refused(&gpu, AttentionDecode { scratch: &scratch, ..call }, &format!("{message} needed"));
        let shape = KvShape { head_dim_v: 64, ..good.layer.shape };
        let other = KvLayer::new(shape, k, v).unwrap();
        let scratch = Scratch::new(&gpu, &other, Good::ROWS, 2).unwrap();
        refused(&gpu, AttentionDecode { scratch: &scratch, ..call }, "scratch has 8704 bytes, 16896 are needed");
    }
    // Keys of q8_0 have a scale for every 32 values.
    let good = Good::new(&gpu, KvType::Q8_0, KvType::Turbo4);
    let other = layer(KvType::Turbo4, KvType::Turbo4, 128);
    let scratch = Scratch::new(&gpu, &other, Good::ROWS, 2).unwrap();
    let call = AttentionDecode { scratch: &scratch, ..good.call() };
    refused(&gpu, call, "scratch has 64 bytes, 256 are needed");
}

#[test]
fn results_are_codes_only_where_there_is_room_and_a_kernel() {
    let Some(gpu) = gpu() else { return };
    let good = Good::new(&gpu, KvType::F16, KvType::F16);
    let codes = Codes::new(&gpu, 1024).unwrap();
    let around = Around { queries: false, codes: Some(codes.part(false)) };
    let chosen = Variants::choose(&gpu, &good.layer, 4).unwrap();
    let refused = |variants: &Variants| {
        let mut recorder = gpu.recorder("refused");
        good.call().record_part(&mut recorder, variants, &around).unwrap_err().to_string()
    };
    let none = Variants { coded: None, short: None, ..chosen };
    let start = "kernel attention/attention_combine_codes: ";
    assert_eq!(refused(&none), format!("{start}heads of 128 values have none on this device"));
    let coded = turbo_wgsl::attention::attention_combine_codes::V_F16;
    let small = Variants { coded: Some(coded), short: None, ..chosen };
    assert_eq!(refused(&small), "kernel attention_combine_codes[v_f16]: 16 heads of 128 values into codes of 1024");
}

#[test]
fn pools_that_do_not_hold_the_slot_are_refused() {
    let Some(gpu) = gpu() else { return };
    let good = Good::new(&gpu, KvType::Turbo4, KvType::Turbo4);
    let call = good.call();
    let part = call.k.pool;
    let k = |pool| AttentionDecode { k: Side { pool, ..call.k }, ..call };
    let v = |side| AttentionDecode { v: side, ..call };
    refused(&gpu, k(PoolPart { first_block: 1, ..part }), "the K pool lies in several bindings");
    refused(
        &gpu,
        v(Side { pool: PoolPart { first_block: 7, ..part }, ..call.v }),
        "the V pool lies in several bindings",
    );
    refused(&gpu, k(PoolPart { blocks: 6, ..part }), "6 blocks of 4224 words take 101376 bytes, pool has 84480");
    refused(
        &gpu,
        v(Side { offset: 2116, ..call.v }),
        "a side that ends at word 4228 does not fit blocks of 4224 words",
    );
}

#[test]
fn query_codes_alone_refuse_what_does_not_fit() {
    let Some(gpu) = gpu() else { return };
    let variant = gpu.pick(&query_codes::KERNEL, &["k_turbo4"]).unwrap();
    let codes = QueryCodes { k_type: KvType::Turbo4, head_dim: 128, rows: 2, scale: 1.0 };
    let message =
        |codes: QueryCodes, values: usize| codes.run(&gpu, variant, &vec![0.0; values]).unwrap_err().to_string();
    for (codes, values) in [
        (codes, 255),
        (QueryCodes { head_dim: 24, ..codes }, 256),
        (QueryCodes { head_dim: 592, ..codes }, 2 * 592),
        (QueryCodes { rows: 0, ..codes }, 256),
    ] {
        let message = message(codes, values);
        assert_eq!(message, format!("kernel attention/query_codes: {codes:?} does not fit {values} values"));
    }
    assert!(codes.run(&gpu, variant, &[0.0; 256]).is_ok());
}
