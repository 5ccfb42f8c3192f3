//! How fast rows of the ggml types expand to integer planes, and decode to f32.
//!
//! `cargo run --release -p turbo-quant --example expand_speed`: one thread, a row of 4096 values
//! that stays in the cache, so the figures are the cost of unpacking and not of memory.
#![allow(clippy::print_stdout, reason = "a measurement prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use turbo_gguf::GgmlType;
use turbo_quant::ggml::{decode_row, expand, plane_shape};

const VALUES: usize = 4096;

fn main() {
    println!("{:8} {:>13} {:>16} {:>16}", "type", "expand GB/s", "expand Gvalue/s", "decode Gvalue/s");
    for &ty in GgmlType::ALL {
        let Some(shape) = plane_shape(ty) else {
            continue;
        };
        let len = VALUES / ty.block_values() * ty.block_bytes();
        let bytes: Vec<u8> = (0..len).map(|i| ((i * i * 31) >> 3) as u8).collect();
        let subs = VALUES / shape.sub;
        let (mut codes, mut scales) = (vec![0; VALUES], vec![0.0; subs]);
        let mut mins = vec![0.0; if shape.has_mins { subs } else { 0 }];
        let expand_s = best(|| {
            expand(ty, black_box(&bytes), &mut codes, &mut scales, &mut mins);
            black_box((&codes, &scales, &mins));
        });
        let mut values = vec![0.0; VALUES];
        let decode_s = best(|| {
            decode_row(ty, black_box(&bytes), &mut values).expect("a whole row");
            black_box(&values);
        });
        println!(
            "{:8} {:13.2} {:16.2} {:16.2}",
            ty.name(),
            len as f64 / expand_s / 1e9,
            VALUES as f64 / expand_s / 1e9,
            VALUES as f64 / decode_s / 1e9,
        );
    }
}

/// Seconds of one call: the best of 50 runs of 200 calls.
fn best(mut call: impl FnMut()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        (0..200).for_each(|_| call());
        start.elapsed()
    };
    (0..50).map(run).min().unwrap_or(Duration::ZERO).as_secs_f64() / 200.0
}
