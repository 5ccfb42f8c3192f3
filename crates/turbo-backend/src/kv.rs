//! Layout of the KV cache: blocks of 64 tokens, planar codes and scales.

use std::fmt;

use turbo_quant::KvType;

/// Tokens of one KV block, which is also one attention tile (`docs/exact-attention.md` section 8).
pub const BLOCK_TOKENS: usize = 64;

/// Tokens of one attention chunk: the unit that may be given to different workgroups or threads.
pub const CHUNK_TOKENS: usize = 256;

/// Which half of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KvSide {
    /// Keys.
    K,
    /// Values.
    V,
}

impl fmt::Display for KvSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::K { "K" } else { "V" })
    }
}

/// One KV cache slot of a plan: the heads that one `KvWrite` step stores and attention steps read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Number of K/V heads.
    pub n_kv_heads: usize,
    /// Values of one K head.
    pub head_dim_k: usize,
    /// Values of one V head.
    pub head_dim_v: usize,
}

/// One cache slot with the types it is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvLayer {
    /// Heads and head sizes.
    pub shape: KvShape,
    /// Layout of the K side.
    pub k: SideLayout,
    /// Layout of the V side.
    pub v: SideLayout,
}

impl KvLayer {
    /// A slot of this shape stored as `k` and `v`.
    ///
    /// # Errors
    /// The first side whose type cannot store its head size.
    pub fn new(shape: KvShape, k: KvType, v: KvType) -> Result<Self, UnsupportedHead> {
        Ok(Self {
            shape,
            k: SideLayout::new(k, shape.n_kv_heads, shape.head_dim_k)?,
            v: SideLayout::new(v, shape.n_kv_heads, shape.head_dim_v)?,
        })
    }

    /// Bytes of one block of [`BLOCK_TOKENS`] tokens, K and V together.
    pub const fn block_bytes(&self) -> usize {
        4 * (self.k.block_words() + self.v.block_words())
    }
}

/// A KV type cannot store heads of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "KV cache type {kv_type} needs a head size that is a multiple of 16, this layer's is {head_dim}: use f16 for it"
)]
pub struct UnsupportedHead {
    /// The type asked for.
    pub kv_type: KvType,
    /// The head size it cannot store.
    pub head_dim: usize,
}

/// How one side (K or V) of a cache slot lies in memory, in u32 words.
///
/// A *unit* is one head of one block: the codes of 64 tokens (`code_words` each, token after token), then for every
/// scale block the f16 scales of the 64 tokens (two to a word). A block is `n_heads` units, a pool is its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideLayout {
    /// What is stored.
    pub kv_type: KvType,
    /// Heads in a block.
    pub n_heads: usize,
    /// Values of a head.
    pub head_dim: usize,
    /// Words of codes of one head of one token.
    pub code_words: usize,
    /// Scales of one head of one token.
    pub scale_blocks: usize,
}

impl SideLayout {
    /// The layout of `n_heads` heads of `head_dim` values stored as `kv_type`.
    ///
    /// # Errors
    /// When the type cannot store that head size.
    pub fn new(kv_type: KvType, n_heads: usize, head_dim: usize) -> Result<Self, UnsupportedHead> {
        if !kv_type.supports_head(head_dim) {
            return Err(UnsupportedHead { kv_type, head_dim });
        }
        Ok(Self {
            kv_type,
            n_heads,
            head_dim,
            code_words: kv_type.code_words(head_dim),
            scale_blocks: kv_type.scale_blocks(head_dim),
        })
    }

    /// Words of one head of one block.
    pub const fn unit_words(&self) -> usize {
        BLOCK_TOKENS * self.code_words + self.scale_blocks * BLOCK_TOKENS / 2
    }

    /// Words of one block.
    pub const fn block_words(&self) -> usize {
        self.n_heads * self.unit_words()
    }

    /// First word of the unit of `head` in `block`.
    pub const fn unit_offset(&self, block: usize, head: usize) -> usize {
        (block * self.n_heads + head) * self.unit_words()
    }

    /// The unit of `head` in `block` of a pool, as (codes, scales): codes of token t are
    /// `codes[t * code_words ..][.. code_words]`, the scale of block b of token t is half
    /// `t % 2` (low first) of `scales[b * 32 + t / 2]`.
    pub fn unit<'a>(&self, pool: &'a [u32], block: usize, head: usize) -> (&'a [u32], &'a [u32]) {
        let at = self.unit_offset(block, head);
        pool[at..at + self.unit_words()].split_at(BLOCK_TOKENS * self.code_words)
    }

    /// As [`Self::unit`], to write.
    pub fn unit_mut<'a>(&self, pool: &'a mut [u32], block: usize, head: usize) -> (&'a mut [u32], &'a mut [u32]) {
        let at = self.unit_offset(block, head);
        pool[at..at + self.unit_words()].split_at_mut(BLOCK_TOKENS * self.code_words)
    }
}

/// Types of K and V that a cache is asked to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KvTypes {
    /// Type of the keys.
    pub k: KvType,
    /// Type of the values.
    pub v: KvType,
}

impl Default for KvTypes {
    fn default() -> Self {
        Self { k: KvType::F16, v: KvType::F16 }
    }
}

/// A pool of KV blocks: every cache slot of a plan with its types, and how many blocks each has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvPoolSpec {
    /// The cache slots, indexed by the plan's slot numbers.
    pub layers: Vec<KvLayer>,
    /// Blocks of [`BLOCK_TOKENS`] tokens in every slot.
    pub n_blocks: usize,
    /// Slots that stay at f16 because their head size does not allow the type asked for: (slot, reason).
    pub kept_f16: Vec<(usize, UnsupportedHead)>,
}

impl KvPoolSpec {
    /// A pool for `shapes` able to hold `tokens` tokens as `types`. A side whose head size is not a multiple
    /// of 16 stays at f16 and is listed in [`Self::kept_f16`] for the user to be told.
    ///
    /// # Errors
    /// A head size that not even f16 can store (odd or zero).
    pub fn new(shapes: &[KvShape], types: KvTypes, tokens: usize) -> Result<Self, UnsupportedHead> {
        let mut kept_f16 = Vec::new();
        let mut side = |slot: usize, kv_type: KvType, head_dim: usize| {
            if kv_type.supports_head(head_dim) {
                return kv_type;
            }
            kept_f16.push((slot, UnsupportedHead { kv_type, head_dim }));
            KvType::F16
        };
        let layers = shapes
            .iter()
            .enumerate()
            .map(|(slot, &shape)| {
                let k = side(slot, types.k, shape.head_dim_k);
                let v = side(slot, types.v, shape.head_dim_v);
                KvLayer::new(shape, k, v)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { layers, n_blocks: tokens.div_ceil(BLOCK_TOKENS), kept_f16 })
    }

    /// Bytes of the whole pool.
    pub fn bytes(&self) -> u64 {
        self.n_blocks as u64 * self.layers.iter().map(|l| l.block_bytes() as u64).sum::<u64>()
    }

    /// Bytes of K and V of one token, over all slots.
    pub fn bytes_per_token(&self) -> f64 {
        let block: usize = self.layers.iter().map(KvLayer::block_bytes).sum();
        block as f64 / BLOCK_TOKENS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turbo4_takes_4_125_bits_a_value() {
        let side = SideLayout::new(KvType::Turbo4, 8, 128).expect("128 is a multiple of 16");
        let bits = side.block_words() as f64 * 32.0 / (8 * 128 * BLOCK_TOKENS) as f64;
        assert!((bits - 4.125).abs() < 1e-12, "{bits} bits a value");
    }

    #[test]
    fn qwen3_14b_at_32k_needs_what_the_design_states() {
        let shape = KvShape { n_kv_heads: 8, head_dim_k: 128, head_dim_v: 128 };
        let pool = |t| KvPoolSpec::new(&[shape; 40], KvTypes { k: t, v: t }, 32768).expect("valid heads").bytes();
        assert_eq!(pool(KvType::F16), 5 << 30);
        assert_eq!(pool(KvType::Turbo4), 1320 << 20);
    }

    #[test]
    fn an_odd_head_size_stays_at_f16_and_is_listed() {
        let shape = KvShape { n_kv_heads: 1, head_dim_k: 72, head_dim_v: 64 };
        let types = KvTypes { k: KvType::Turbo4, v: KvType::Turbo4 };
        let pool = KvPoolSpec::new(&[shape], types, 64).expect("f16 stores 72");
        assert_eq!(pool.layers[0].k.kv_type, KvType::F16);
        assert_eq!(pool.layers[0].v.kv_type, KvType::Turbo4);
        assert_eq!(
            pool.kept_f16[0].1.to_string(),
            "KV cache type turbo4 needs a head size that is a multiple of 16, this layer's is 72: use f16 for it"
        );
    }
}
