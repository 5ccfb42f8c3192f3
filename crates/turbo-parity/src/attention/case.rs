//! Shapes that attention is tried on.

use std::fmt;

use turbo_backend::{KvLayer, KvShape, UnsupportedHead};
use turbo_quant::KvType;
use turbo_wgsl::Variant;

use super::Rotation;
use super::compare::named;
use crate::{Effort, Inputs};

/// Head sizes of models, and others that cut into every size of group.
const HEAD_DIMS: [usize; 14] = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 320, 512, 576];

/// Random cases of a variant with full effort.
const RANDOM_CASES: usize = 20;

/// Products that the twin may take for one of them: milliseconds.
const MOST_WORK: usize = 12 << 20;

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
    /// The rotation of a key bias.
    pub key_bias: Option<Rotation>,
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
            key_bias: None,
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

    /// The cases of a variant of attention_decode, whose name says the types.
    pub fn of_variant(variant: &Variant, effort: Effort) -> Vec<Self> {
        let of = |side| named(variant, side).unwrap_or(KvType::F16);
        Self::all(variant, (of("k_"), of("v_")), effort)
    }

    /// The cases of a pair of types for `variant`: those for heads of 128 values get no others, and with full effort
    /// every variant has cases of its own.
    pub(super) fn all(variant: &Variant, (k, v): (KvType, KvType), effort: Effort) -> Vec<Self> {
        let large = variant.name.contains("h128");
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
        if k == KvType::F16 {
            // Scores beyond 1024 in log2, below the limit of 8192.
            cases.push(Self { spread: 400.0, ..new(100) });
        }
        let key_bias = |rotated| Some(Rotation { size: 20.0, ..Rotation::new(rotated) });
        cases.push(Self { key_bias: key_bias(128), group: 5, ..new(300) });
        let sequences = vec![(330, 1), (70, 2)];
        let window = Some(90);
        let capped = Self { sequences, window, soft_cap: Some(50.0), kv_heads: 2, ..new(330) };
        cases.push(Self { key_bias: key_bias(64), head_dim: (80, 64), span_chunks: 2, ..capped });
        if large {
            cases.iter_mut().for_each(|case| case.head_dim = (128, 128));
        }
        if effort == Effort::Full {
            // FNV-1a of the label.
            let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            let seed = variant.label.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
            let mut random = Inputs::new(seed);
            let sizes = if large { &[128][..] } else { &HEAD_DIMS[..] };
            cases.extend((0..RANDOM_CASES).map(|_| Self::random(k, v, sizes, &mut random)));
            // One problem in four splits.
            let sequences = vec![(4096, 1), (1000, 8), (257, 2), (1, 1), (64, 5)];
            let split = Self { sequences, kv_heads: 2, group: 3, seed, ..new(4096) };
            cases.extend([1, 2, 8, 64].map(|span_chunks| Self { span_chunks, ..split.clone() }));
            if k == v && !variant.name.ends_with("r1") {
                // As many keys as the longest contexts have.
                cases.push(Self { group: 5, span_chunks: 8, ..new(131_072) });
            }
        }
        cases
    }

    /// Any shape that is not too much work for the twin.
    fn random(k: KvType, v: KvType, sizes: &[usize], random: &mut Inputs) -> Self {
        fn pick<T: Copy>(random: &mut Inputs, from: &[T]) -> T {
            from[random.below(from.len() as u32) as usize]
        }
        let dk = pick(random, sizes);
        let dv = if random.below(2) == 0 { dk } else { pick(random, sizes) };
        let sequence = |random: &mut Inputs| {
            // Short ones as often as long ones.
            let below = 2 << random.below(13);
            let keys = (1 + random.below(below) as usize).min(5000);
            (keys, (1 + random.below(8) as usize).min(keys))
        };
        let n_sequences = pick(random, &[1, 1, 1, 2, 3, 5]);
        let sequences: Vec<_> = (0..n_sequences).map(|_| sequence(random)).collect();
        let one_in = |random: &mut Inputs, n: u32| random.below(n) == 0;
        let reach = 2 << random.below(11);
        let mut case = Self {
            head_dim: (dk, dv),
            kv_heads: 1 + random.below(3) as usize,
            group: 1 + random.below(16) as usize,
            window: one_in(random, 3).then_some(1 + random.below(reach)),
            soft_cap: one_in(random, 4).then(|| pick(random, &[1.5, 30.0, 50.0])),
            sinks: one_in(random, 3),
            key_bias: one_in(random, 4).then(|| Rotation::new(dk / pick(random, &[1, 2]) / 2 * 2)),
            spread: pick(random, &[0.2, 1.0, 3.0, 20.0]),
            span_chunks: pick(random, &[1, 2, 8, 64]),
            seed: random.bits().into(),
            sequences,
            ..Self::new(k, v, 1)
        };
        while case.work() > MOST_WORK && case.sequences.len() > 1 {
            case.sequences.pop();
        }
        while case.work() > MOST_WORK {
            let (keys, tokens) = case.sequences[0];
            match (case.kv_heads, tokens, case.group) {
                (2.., _, _) => case.kv_heads -= 1,
                (_, 2.., _) => case.sequences[0].1 = tokens / 2,
                (_, _, 2..) => case.group /= 2,
                _ => case.sequences[0] = (keys / 2, 1),
            }
        }
        case
    }

    /// Products of the twin.
    fn work(&self) -> usize {
        let per_row = self.kv_heads * self.group * (self.head_dim.0 + self.head_dim.1);
        self.sequences.iter().map(|&(keys, tokens)| keys * tokens * per_row).sum()
    }
}
