//! What the cases of storing and reading heads share: shapes, places in a cache, and heads that find mistakes.

use turbo_backend::{BLOCK_TOKENS, SideLayout};
use turbo_cpu::kv::cache::CacheSide;
use turbo_quant::turbo::rotate::{Direction, rotate_head};
use turbo_quant::turbo::tables::table;
use turbo_quant::{KvType, rotation_groups};
use turbo_wgsl::Variant;

use crate::Inputs;

/// Head sizes of models, and small ones that cut into every size of group.
const HEAD_DIMS: [usize; 11] = [16, 48, 64, 80, 96, 112, 128, 192, 256, 512, 576];

/// A cache slot with K and V heads of two sizes, blocks of both sides together, and where the tokens of a batch go.
pub(super) struct Shape {
    pub(super) sides: [CacheSide; 2],
    pub(super) n_blocks: usize,
    /// 64 * block + place of every token, scattered.
    pub(super) slots: Vec<u32>,
}

impl Shape {
    /// Every head size that `variant` takes once as K with `n_heads` heads or one more; `tokens` tokens times 11 in all.
    pub(super) fn all(variant: &Variant, n_heads: usize, tokens: usize) -> impl Iterator<Item = Self> {
        let kv_type = kv_type(variant);
        let (whole, h128) = (variant.name.ends_with("whole32"), variant.name.ends_with("h128"));
        let mut sizes = HEAD_DIMS.to_vec();
        sizes.retain(|d| !whole || d % 128 == 0);
        if h128 {
            sizes = vec![128; 2];
        }
        if kv_type == KvType::F16 && !h128 {
            // Any even size.
            sizes[0] = 18;
        }
        let tokens = (tokens * HEAD_DIMS.len()).div_ceil(sizes.len());
        (0..sizes.len()).filter_map(move |i| {
            // Odd numbers of heads too: some grids do two at a time.
            let layout = |d: usize| SideLayout::new(kv_type, n_heads + i % 2, d).ok();
            let (k, v) = (layout(sizes[i])?, layout(sizes[(i + 4) % sizes.len()])?);
            let block_words = k.block_words() + v.block_words();
            let side = |layout, offset| CacheSide { layout, block_words, offset };
            // A third of the places stay as they are.
            let n_blocks = (tokens * 3 / 2).div_ceil(BLOCK_TOKENS) + 1;
            let slots = places(tokens, n_blocks, i as u64);
            Some(Self { sides: [side(k, 0), side(v, k.block_words())], n_blocks, slots })
        })
    }

    /// Name of the case.
    pub(super) fn name(&self) -> String {
        let [k, v] = &self.sides;
        let (ty, heads) = (k.layout.kv_type, k.layout.n_heads);
        let tokens = self.slots.len();
        format!("{ty}, {tokens} tokens of {heads} heads of {} (K) and {} (V)", k.layout.head_dim, v.layout.head_dim)
    }

    /// Words of the pool.
    pub(super) fn words(&self) -> usize {
        self.n_blocks * self.sides[0].block_words
    }

    /// The codes and scales of every head of `side` in `pool`, [tokens][heads], and words in each.
    pub(super) fn heads(&self, side: usize, pool: &[u32]) -> (Vec<u32>, usize) {
        let side = &self.sides[side];
        let layout = &side.layout;
        let mut out = Vec::new();
        for &slot in &self.slots {
            let (block, place) = (slot as usize / BLOCK_TOKENS, slot as usize % BLOCK_TOKENS);
            for head in 0..layout.n_heads {
                let unit = &pool[block * side.block_words + side.offset + head * layout.unit_words()..];
                let (codes, scales) = unit[..layout.unit_words()].split_at(BLOCK_TOKENS * layout.code_words);
                out.extend(&codes[place * layout.code_words..][..layout.code_words]);
                let scale = |b: usize| scales[b * BLOCK_TOKENS / 2 + place / 2] >> (16 * (place % 2)) & 0xffff;
                out.extend((0..layout.scale_blocks).map(scale));
            }
        }
        (out, layout.code_words + layout.scale_blocks)
    }
}

/// The type that a variant stores or reads.
fn kv_type(variant: &Variant) -> KvType {
    let name = variant.name.split(',').next().unwrap_or_default();
    name.parse().unwrap_or(KvType::F16)
}

/// Scattered places of `tokens` tokens in `n_blocks` blocks; neighbours often share a word of scales.
fn places(tokens: usize, n_blocks: usize, seed: u64) -> Vec<u32> {
    let mut all: Vec<u32> = (0..(n_blocks * BLOCK_TOKENS) as u32).collect();
    let mut random = Inputs::new(seed);
    for i in 0..tokens {
        let other = i + random.below((all.len() - i) as u32) as usize;
        all.swap(i, other);
    }
    all.truncate(tokens);
    all
}

/// `n` heads of `layout`: every kind that [`Inputs::any`] knows, scales about the ends of f16, one rotation group much
/// larger than the others, and values at the thresholds between codes.
pub(super) fn heads(layout: &SideLayout, n: usize, random: &mut Inputs) -> Vec<f32> {
    let d = layout.head_dim;
    let mut out = random.any(n, d);
    for (i, head) in out.chunks_exact_mut(d).enumerate() {
        match i % 16 {
            3 => edge_of_range(head, random),
            7 => one_large_group(head, random),
            11 | 15 if layout.kv_type.is_turbo() => at_thresholds(layout.kv_type, head, random),
            11 | 15 if layout.kv_type.is_coded() => at_ties(layout.kv_type, head, random),
            _ => {}
        }
    }
    out
}

/// Ordinary values times a power of two about the smallest or the largest scales.
fn edge_of_range(head: &mut [f32], random: &mut Inputs) {
    let exponent = if random.below(2) == 0 { 139 + random.below(14) } else { 95 + random.below(14) };
    for x in head {
        *x = random.normal() * f32::from_bits(exponent << 23);
    }
}

/// Ordinary values, those of one group times up to 2^20.
fn one_large_group(head: &mut [f32], random: &mut Inputs) {
    let sizes: Vec<usize> = rotation_groups(head.len()).collect();
    let large = random.below(sizes.len().max(1) as u32) as usize;
    let factor = f32::from_bits((135 + random.below(13)) << 23);
    let mut at = 0;
    for (i, n) in sizes.into_iter().enumerate() {
        for x in &mut head[at..at + n] {
            *x = random.normal() * if i == large { factor } else { 1.0 };
        }
        at += n;
    }
}

/// Heads whose rotated values lie at the thresholds, as near as f32 allows.
fn at_thresholds(kv_type: KvType, head: &mut [f32], random: &mut Inputs) {
    let mut at = 0;
    for n in rotation_groups(head.len()) {
        let thresholds = table(kv_type.code_bits() as u32, n).thresholds();
        // Squares of the rotated values of a group of norm sqrt(n): what is left goes to the last.
        let mut left = n as f32;
        for (i, x) in head[at..at + n].iter_mut().enumerate() {
            let pick = thresholds[random.below(thresholds.len() as u32) as usize];
            let square = if i + 1 == n { left.max(0.0) } else { pick.min(left.max(0.0)) };
            left -= square;
            *x = square.sqrt().copysign(random.normal());
        }
        at += n;
    }
    let scale = f32::from_bits((120 + random.below(14)) << 23);
    rotate_head(head, Direction::Inverse);
    for x in head {
        *x *= scale;
    }
}

/// Heads whose rotated values lie half way between two levels of q8_0 or q4_0, as near as f32 allows.
fn at_ties(kv_type: KvType, head: &mut [f32], random: &mut Inputs) {
    let largest = if kv_type == KvType::Q8_0 { 127 } else { 8 };
    // The scale is of 11 bits, so it is stored as it is.
    for block in head.chunks_mut(32) {
        let scale = (1024 + random.below(1024)) as f32 * f32::from_bits((110 + random.below(10)) << 23);
        for x in &mut *block {
            *x = ((random.below(largest) as f32 + 0.5) * scale).copysign(random.normal());
        }
        let at = random.below(block.len() as u32) as usize;
        block[at] = largest as f32 * scale;
    }
    rotate_head(head, Direction::Inverse);
}
