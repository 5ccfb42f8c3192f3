//! What the KV tests share: random heads and a float64 reference of the rotation.
#![allow(dead_code, reason = "each test file uses a part of it")]

use turbo_quant::turbo::signs::{S1_MASKS, S2_MASKS};
use turbo_quant::{KvType, rotation_groups};

/// Every head size the tests go through.
pub(crate) const HEADS: [usize; 11] = [16, 48, 64, 80, 96, 112, 128, 192, 256, 512, 576];

/// SplitMix64 with a Gaussian output.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// Uniform in (0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    pub(crate) fn gaussian(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub(crate) fn head(&mut self, d: usize, sigma: f64) -> Vec<f32> {
        (0..d).map(|_| (self.gaussian() * sigma) as f32).collect()
    }

    /// A Gaussian head of a standard deviation between 2^low and 2^high.
    pub(crate) fn head_between(&mut self, d: usize, low: f64, high: f64) -> Vec<f32> {
        let sigma = 2_f64.powf(low + (high - low) * self.unit());
        self.head(d, sigma)
    }
}

/// Codes and scales of one head.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Coded {
    pub(crate) codes: Vec<u32>,
    pub(crate) scales: Vec<u16>,
}

pub(crate) fn encode(ty: KvType, head: &[f32]) -> Result<Coded, turbo_quant::kv::Fault> {
    let d = head.len();
    let mut coded = Coded { codes: vec![0; ty.code_words(d)], scales: vec![0; ty.scale_blocks(d)] };
    turbo_quant::kv::encode_head(ty, head, &mut coded.codes, &mut coded.scales)?;
    Ok(coded)
}

pub(crate) fn decode(ty: KvType, d: usize, coded: &Coded, rotated: bool) -> Vec<f32> {
    let mut out = vec![f32::NAN; d];
    turbo_quant::kv::decode_head(ty, &coded.codes, &coded.scales, &mut out, rotated);
    out
}

pub(crate) fn levels(ty: KvType, d: usize, coded: &Coded) -> Vec<i8> {
    let mut out = vec![0; d];
    turbo_quant::kv::levels_head(ty, d, &coded.codes, &mut out);
    out
}

/// y = S2 H/sqrt(n) S1 x for every rotation group, H by its definition: (-1)^popcount(i & j).
pub(crate) fn rotate_dense(x: &[f32]) -> Vec<f64> {
    let sign = |masks: &[u32; 128], i: usize| if masks[i] != 0 { -1.0 } else { 1.0 };
    let mut out = Vec::new();
    for n in rotation_groups(x.len()) {
        let group = &x[out.len()..out.len() + n];
        out.extend((0..n).map(|i| {
            let entry = |j: usize| {
                if (i & j).count_ones() % 2 == 1 { -1.0 } else { 1.0 }
            };
            let terms = (0..n).map(|j| entry(j) * sign(&S1_MASKS, j) * f64::from(group[j]));
            sign(&S2_MASKS, i) * terms.sum::<f64>() / (n as f64).sqrt()
        }));
    }
    out
}

pub(crate) fn norm<T: Copy + Into<f64>>(x: &[T]) -> f64 {
    dot(x, x).sqrt()
}

pub(crate) fn dot<T: Copy + Into<f64>, U: Copy + Into<f64>>(a: &[T], b: &[U]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| a.into() * b.into()).sum()
}
