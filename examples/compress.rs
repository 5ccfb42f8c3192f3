//! The turbo codec on vectors: size, error, cosine.
//!
//! `cargo run --release --example compress [FILE]` reads numbers separated by white space or commas, one vector per
//! line; without a file it makes 1000 Gaussian vectors of 128 values.

#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::error::Error;

use turbo_wgpu::quant::KvType;
use turbo_wgpu::quant::kv::{decode_head, encode_head};

fn main() -> Result<(), Box<dyn Error>> {
    let vectors = match std::env::args().nth(1) {
        Some(path) => read(&std::fs::read_to_string(path)?)?,
        None => gaussian(1000, 128),
    };
    let dim = vectors.first().map_or(0, Vec::len);
    if dim == 0 || dim % 16 != 0 || vectors.iter().any(|v| v.len() != dim) {
        return Err(format!("vectors must all have the same length, a multiple of 16; the first has {dim}").into());
    }
    println!("{} vectors of {dim} values\n\ntype      bits/value  smaller than f16      NMSE    cosine", vectors.len());
    for kv_type in KvType::ALL {
        let mut codes = vec![0; kv_type.code_words(dim)];
        let mut scales = vec![0; kv_type.scale_blocks(dim)];
        let mut back = vec![0.0; dim];
        let (mut error, mut power, mut cosine) = (0.0, 0.0, 0.0);
        for vector in &vectors {
            encode_head(kv_type, vector, &mut codes, &mut scales)?;
            decode_head(kv_type, &codes, &scales, &mut back, false);
            error += sum(vector.iter().zip(&back).map(|(a, b)| (a - b) * (a - b)));
            power += dot(vector, vector);
            cosine += dot(vector, &back) / (dot(vector, vector) * dot(&back, &back)).sqrt().max(f64::MIN_POSITIVE);
        }
        let bits = (codes.len() * 32 + scales.len() * 16) as f64 / dim as f64;
        let mean = cosine / vectors.len() as f64;
        println!("{:<8}  {bits:>10.3}  {:>16.2}  {:>8.5}  {mean:>8.5}", kv_type.name(), 16.0 / bits, error / power);
    }
    Ok(())
}

fn read(text: &str) -> Result<Vec<Vec<f32>>, std::num::ParseFloatError> {
    let separator = |c: char| c.is_whitespace() || c == ',';
    let line = |line: &str| line.split(separator).filter(|word| !word.is_empty()).map(str::parse).collect();
    text.lines().filter(|text| !text.trim().is_empty()).map(line).collect()
}

/// Normal values by Box and Muller from a linear congruential generator.
fn gaussian(count: usize, dim: usize) -> Vec<Vec<f32>> {
    let mut state = 1u64;
    let mut unit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 + 0.5) / (1u64 << 24) as f32
    };
    let mut normal = || (-2.0 * unit().ln()).sqrt() * (std::f32::consts::TAU * unit()).cos();
    (0..count).map(|_| (0..dim).map(|_| normal()).collect()).collect()
}

fn sum(values: impl Iterator<Item = f32>) -> f64 {
    values.map(f64::from).sum()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum(a.iter().zip(b).map(|(a, b)| a * b))
}
