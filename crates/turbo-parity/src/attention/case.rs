//! Shapes that attention is tried on.

use std::fmt;

use turbo_backend::{KvLayer, KvShape, UnsupportedHead};
use turbo_quant::KvType;

use crate::Effort;

/// One shape of attention with everything that is needed to try it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Type of the keys.
    pub k: KvType,
    /// Type of the values.
    pub v: KvType,
    /// Values of a K head and of a V head.
    pub head_dim: (usize, usize),
    /// K/V heads.
    pub kv_heads: usize,
    /// Query heads of a K/V head.
    pub group: usize,
    /// Keys and query tokens of every sequence; the tokens are the last ones.
    pub sequences: Vec<(usize, usize)>,
    /// Sliding window.
    pub window: Option<u32>,
    /// Soft cap.
    pub soft_cap: Option<f32>,
    /// Whether there are attention sinks.
    pub sinks: bool,
    /// Standard deviation of the logits.
    pub spread: f32,
    /// Chunks of a workgroup.
    pub span_chunks: u32,
    /// Seed of the values.
    pub seed: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Case {
    /// A plain case: one sequence with one query token, heads of 128, one K/V head.
    pub fn new(k: KvType, v: KvType, keys: usize) -> Self {
        Self {
            k,
            v,
            head_dim: (128, 128),
            kv_heads: 1,
            group: 1,
            sequences: vec![(keys, 1)],
            window: None,
            soft_cap: None,
            sinks: false,
            spread: 2.0,
            span_chunks: 1,
            seed: keys as u64,
        }
    }

    /// The cache slot of the case.
    ///
    /// # Errors
    /// A type that cannot store heads of this size.
    pub fn layer(&self) -> Result<KvLayer, UnsupportedHead> {
        let (head_dim_k, head_dim_v) = self.head_dim;
        KvLayer::new(KvShape { n_kv_heads: self.kv_heads, head_dim_k, head_dim_v }, self.k, self.v)
    }

    /// The cases of one pair of types.
    pub fn all(k: KvType, v: KvType, effort: Effort) -> Vec<Self> {
        let new = |keys| Self::new(k, v, keys);
        let mut cases: Vec<Self> = [1, 63, 65, 256, 257].into_iter().map(new).collect();
        cases.push(Self { head_dim: (64, 64), group: 5, spread: 0.2, ..new(300) });
        cases.push(Self { head_dim: (80, 80), group: 2, soft_cap: Some(30.0), ..new(64) });
        cases.push(Self { head_dim: (96, 112), kv_heads: 2, group: 3, sinks: true, ..new(255) });
        let sequences = vec![(700, 1), (33, 3), (1, 1)];
        cases.push(Self { sequences, kv_heads: 2, group: 2, window: Some(200), span_chunks: 2, ..new(700) });
        cases.push(Self { sequences: vec![(520, 4)], group: 4, spread: 12.0, span_chunks: 8, ..new(520) });
        // Many chunks, whose exponents differ widely: the fold shifts its state often.
        let many = Self { head_dim: (16, 16), spread: 12.0, ..new(8960) };
        cases.push(Self { sequences: vec![(8960, 1), (2, 1)], window: Some(8800), sinks: true, ..many });
        if effort == Effort::Full {
            cases.extend(Self::more(k, v));
        }
        cases
    }

    /// What only a real GPU does in reasonable time.
    fn more(k: KvType, v: KvType) -> Vec<Self> {
        let mut cases = Vec::new();
        let sizes =
            [(16, 16), (64, 64), (80, 80), (96, 96), (128, 128), (192, 128), (256, 256), (512, 512), (576, 512)];
        for (i, head_dim) in sizes.into_iter().enumerate() {
            for (j, keys) in [1_usize, 64, 100, 255, 1000, 4096].into_iter().enumerate() {
                cases.push(Self {
                    head_dim,
                    kv_heads: 1 + (i + j) % 3,
                    group: [1, 2, 5, 16][(i + 2 * j) % 4],
                    sequences: vec![(keys, 1 + (i * j) % 8.min(keys))],
                    window: (j % 3 == 2).then_some(170),
                    soft_cap: (i % 4 == 3).then_some(50.0),
                    sinks: (i + j) % 5 == 4,
                    spread: [0.3, 1.0, 3.0, 20.0][(i + j) % 4],
                    span_chunks: [1, 2, 8, 64][(i + j) % 4],
                    seed: (i * 16 + j) as u64,
                    ..Self::new(k, v, keys)
                });
            }
        }
        for span_chunks in [1, 2, 8, 64] {
            let sequences = vec![(4096, 1), (1000, 8), (257, 2), (1, 1), (64, 5)];
            cases.push(Self { sequences, kv_heads: 2, group: 5, span_chunks, ..Self::new(k, v, 4096) });
        }
        if k == v {
            cases.push(Self { kv_heads: 1, group: 5, ..Self::new(k, v, 131_072) });
        }
        cases
    }
}
