//! Nanoseconds per head of the KV codecs: `cargo bench -p turbo-quant --bench kv`.
#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::time::Instant;

use turbo_quant::KvType;
use turbo_quant::kv::{decode_head, encode_head, levels_head, quantize_query};
use turbo_quant::turbo::rotate::{Direction, rotate_head};

/// Median nanoseconds of one call over 25 rounds of 4096.
fn time(mut call: impl FnMut(usize)) -> f64 {
    let mut rounds: Vec<f64> = (0..25)
        .map(|_| {
            let start = Instant::now();
            (0..4096).for_each(&mut call);
            start.elapsed().as_nanos() as f64 / 4096.0
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[12]
}

fn main() {
    let heads = |d: usize| -> Vec<f32> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..64 * d).map(|_| (0..6).map(|_| next()).sum()).collect()
    };
    for d in [64, 128, 256] {
        let values = heads(d);
        let head = |i: usize| &values[(i % 64) * d..][..d];
        for ty in KvType::ALL {
            let mut codes = vec![0; ty.code_words(d)];
            let mut scales = vec![0; ty.scale_blocks(d)];
            let mut out = vec![0.0; d];
            let mut levels = vec![0; d];
            let encode = time(|i| encode_head(ty, black_box(head(i)), &mut codes, &mut scales).unwrap());
            let decode = time(|_| decode_head(ty, black_box(&codes), &scales, &mut out, true));
            let expand = if ty.is_coded() {
                time(|_| levels_head(ty, d, black_box(&codes), black_box(&mut levels)))
            } else {
                f64::NAN
            };
            println!("d={d} {ty:7} encode {encode:7.1} ns  decode {decode:6.1} ns  levels {expand:5.1} ns");
        }
        let (mut q, mut scratch) = (vec![0; d], vec![0.0; d]);
        let query = time(|i| {
            quantize_query(black_box(head(i)), false, &mut q, &mut scratch).unwrap();
        });
        let mut x = values[..d].to_vec();
        let rotate = time(|_| rotate_head(black_box(&mut x), Direction::Forward));
        println!("d={d} query {query:7.1} ns  rotate {rotate:6.1} ns");
    }
}
