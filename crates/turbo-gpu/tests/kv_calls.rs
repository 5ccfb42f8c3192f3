//! What the calls of the KV kernels refuse, and how they say it.

mod support;

use turbo_backend::SideLayout;
use turbo_gpu::kv::HeadSizes;
use turbo_gpu::kv::cache::{PoolPart, Rows};
use turbo_gpu::kv::kv_decode::KvDecode;
use turbo_gpu::kv::kv_encode::{KvEncode, NewHeads, kernel, variant};
use turbo_quant::KvType;

use support::gpu;

#[test]
fn calls_that_do_not_fit_their_buffers_are_refused() {
    let Some(gpu) = gpu() else { return };
    let layout = SideLayout::new(KvType::Turbo4, 2, 128).unwrap();
    let words = layout.block_words();
    let x = gpu.buffer::<f32>("x", 4 * 256).unwrap();
    let slots = gpu.buffer::<u32>("slots", 4).unwrap();
    let pool = gpu.buffer::<u32>("pool", 2 * words).unwrap();
    let faults = gpu.buffer::<u32>("faults", 4).unwrap();
    let part = PoolPart { bind: pool.bind(), first_block: 0, blocks: 2, block_words: words as u32 };
    let heads = NewHeads { rows: Rows { bind: x.bind(), first: 0, row: 256 }, layout, offset: 0 };
    let good = KvEncode {
        k: Some(heads),
        v: None,
        tokens: 4,
        slots: slots.bind(),
        pool: part,
        faults: faults.bind(),
        fault: 0,
    };
    let refused = |call: KvEncode<'_>, part: &str| {
        let message = call.record(&mut gpu.recorder("refused")).unwrap_err().to_string();
        assert!(message.contains("kv/kv_encode: ") && message.contains(part), "{message}");
    };
    good.record(&mut gpu.recorder("good")).unwrap();
    refused(KvEncode { tokens: 5, ..good }, "5 tokens, slots has 4 words");
    refused(KvEncode { tokens: 2 << 20, ..good }, "2097152 tokens, at most 1048576 fit one dispatch");
    refused(KvEncode { fault: 4, ..good }, "fault 4, faults has 4 words");
    let three = PoolPart { blocks: 3, ..part };
    refused(KvEncode { pool: three, ..good }, "3 blocks of 2112 words take 25344 bytes, pool has 16896");
    let with = |heads| KvEncode { k: Some(heads), ..good };
    refused(with(NewHeads { offset: 1, ..heads }), "a side that ends at word 2113 does not fit blocks of 2112 words");
    let rows = |first, row| with(NewHeads { rows: Rows { first, row, ..heads.rows }, ..heads });
    refused(rows(2, 256), "rows of 256 values from 2 on are not vectors of 4");
    refused(rows(4, 256), "4 rows of 256 values end at value 1028, the buffer has 4096 bytes");
    let one = SideLayout::new(KvType::Turbo4, 1, 128).unwrap();
    let v = Some(NewHeads { layout: one, ..heads });
    refused(KvEncode { v, ..good }, "2 K heads and 1 V heads");

    let narrow = SideLayout::new(KvType::Turbo4, 2, 64).unwrap();
    let h128 = turbo_wgsl::kv::kv_encode::TURBO4_H128;
    let call = KvEncode { k: Some(NewHeads { layout: narrow, ..heads }), ..good };
    let message = call.record_with(&mut gpu.recorder("refused"), |_, _, _| Ok(h128)).unwrap_err().to_string();
    assert_eq!(message, "kernel kv_encode[turbo4,h128]: it is not for heads of 64 and 64 values");

    let decode =
        KvDecode { rows: heads.rows, layout, offset: 0, tokens: 5, slots: slots.bind(), pool: part, rotated: false };
    let message = decode.record(&mut gpu.recorder("refused")).unwrap_err().to_string();
    assert!(message.contains("kv/kv_decode: ") && message.contains("5 tokens, slots has 4 words"), "{message}");
    KvDecode { tokens: 4, ..decode }.record(&mut gpu.recorder("good")).unwrap();
}

#[test]
fn every_type_has_a_variant_on_every_device() {
    let Some(gpu) = gpu() else { return };
    for kv_type in KvType::ALL {
        for sizes in [HeadSizes::Any, HeadSizes::Whole, HeadSizes::H128] {
            let chosen = variant(&gpu, kv_type, sizes).unwrap();
            assert!(kernel(kv_type).has(chosen));
            assert!(kv_type == KvType::F16 || chosen.name.starts_with(kv_type.name()), "{}", chosen.name);
        }
    }
}
