//! Speed of the matrix products on this machine, beside its read bandwidth.
//!
//! `cargo run --release -p turbo-cpu --example matmul_bench [-- LEVEL... [wide]]` with levels
//! as `avx2`, `avx-vnni`, `avx512-vnni`, `plain`; the best one when none is given. `wide` makes the
//! activations wide.
//!
//! Decode: one token; enough copies of the matrix are read in turn to leave every cache, and
//! weights are counted in their stored bytes. Prefill: 512 tokens; a multiplication and an
//! addition are two operations.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use turbo_cpu::matmul::{Activations, Forms, Level, WeightRef, matmul_at};
use turbo_cpu::pool::ThreadPool;
use turbo_gguf::GgmlType;

/// More than the last-level cache of any machine this is likely to run on.
const POOL_BYTES: usize = 768 << 20;
const PREFILL: usize = 512;
const MEASURE: Duration = Duration::from_millis(400);

/// The best time of one call, of as many as fit into [`MEASURE`], at least three.
fn best_time(mut call: impl FnMut()) -> f64 {
    let (mut best, mut calls, started) = (f64::MAX, 0, Instant::now());
    while calls < 3 || started.elapsed() < MEASURE {
        let start = Instant::now();
        call();
        best = best.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    best
}

/// Bytes per second of plain reading with every thread of the pool.
fn read_bandwidth(pool: &ThreadPool, memory: &[u8]) -> f64 {
    let (words, _) = memory.as_chunks::<8>();
    let pieces: Vec<&[[u8; 8]]> = words.chunks(1 << 17).collect();
    let time = best_time(|| {
        pool.run(pieces.len(), |piece| {
            // Four places at once: one stream alone waits at the end of every page.
            let mut sums = [0_u64; 4];
            let (quads, _) = pieces[piece].as_chunks::<{ 1 << 15 }>();
            if let [a, b, c, d] = quads {
                for i in 0..a.len() {
                    for (sum, part) in sums.iter_mut().zip([a, b, c, d]) {
                        *sum = sum.wrapping_add(u64::from_ne_bytes(part[i]));
                    }
                }
            }
            black_box(sums);
        });
    });
    memory.len() as f64 / time
}

struct Case {
    ty: GgmlType,
    rows: usize,
    cols: usize,
    wide: bool,
}

impl Case {
    fn bytes(&self) -> usize {
        self.rows * self.cols / self.ty.block_values() * self.ty.block_bytes()
    }

    fn weights<'a>(&self, memory: &'a [u8], copy: usize) -> WeightRef<'a> {
        let data = &memory[copy * self.bytes()..][..self.bytes()];
        WeightRef { ty: self.ty, rows: self.rows, cols: self.cols, data }
    }

    fn inputs(&self, pool: &ThreadPool, tokens: usize) -> (Activations, Vec<f32>) {
        let x: Vec<f32> = (0..tokens * self.cols).map(|i| ((i * 7919 % 2003) as f32 - 1001.0) * 1e-3).collect();
        let mut activations = Activations::new();
        activations.prepare(pool, &x, tokens, self.cols, Forms::of(&[self.ty]).with_wide(self.wide));
        (activations, vec![0.0; tokens * self.rows])
    }

    /// Bytes of weights per second with one token.
    fn decode(&self, level: Level, pool: &ThreadPool, memory: &[u8]) -> f64 {
        let (x, mut out) = self.inputs(pool, 1);
        let copies = memory.len() / self.bytes();
        let time = best_time(|| {
            for copy in 0..copies {
                matmul_at(level, pool, self.weights(memory, copy), &x, None, &mut out, self.rows);
            }
        });
        (copies * self.bytes()) as f64 / time
    }

    /// Operations per second with many tokens.
    fn prefill(&self, level: Level, pool: &ThreadPool, memory: &[u8]) -> f64 {
        let (x, mut out) = self.inputs(pool, PREFILL);
        let time = best_time(|| matmul_at(level, pool, self.weights(memory, 0), &x, None, &mut out, self.rows));
        2.0 * (self.rows * self.cols * PREFILL) as f64 / time
    }
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let wide = names.iter().any(|name| name == "wide");
    let mut levels: Vec<Level> =
        Level::ALL.into_iter().filter(|level| names.iter().any(|n| n == level.name())).collect();
    levels.retain(|level| level.available());
    if levels.is_empty() {
        levels.push(Level::best());
    }
    // Bytes below 60 make finite, small scales in every type: no denormal numbers slow it down.
    let memory: Vec<u8> = (0..POOL_BYTES).map(|i| ((i * 31) % 59 + 1) as u8).collect();
    let most = turbo_cpu::pool::default_threads();
    for threads in if most == 1 { vec![1] } else { vec![1, most] } {
        let pool = ThreadPool::new(threads);
        let bandwidth = read_bandwidth(&pool, &memory);
        println!("\n{threads} thread(s): read bandwidth {:.1} GB/s\n", bandwidth / 1e9);
        println!("| level | type | rows x columns | decode GB/s | of bandwidth | prefill GOP/s |");
        println!("|---|---|---|---|---|---|");
        for &level in &levels {
            for ty in [GgmlType::Q4_K, GgmlType::Q6_K, GgmlType::Q8_0, GgmlType::Q4_0, GgmlType::F16] {
                for (rows, cols) in [(1024, 3072), (4096, 4096)] {
                    let case = Case { ty, rows, cols, wide };
                    let (decode, prefill) = (case.decode(level, &pool, &memory), case.prefill(level, &pool, &memory));
                    println!(
                        "| {} | {ty} | {rows} x {cols} | {:.1} | {:.0}% | {:.0} |",
                        level.name(),
                        decode / 1e9,
                        100.0 * decode / bandwidth,
                        prefill / 1e9
                    );
                }
            }
        }
    }
}
