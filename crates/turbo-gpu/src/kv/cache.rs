//! Where heads lie in a cache in GPU memory.

use turbo_backend::{BLOCK_TOKENS, SideLayout};

use crate::buffer::{Bind, SplitBuffer};

/// Blocks of a cache slot that one binding can see.
#[derive(Clone, Copy, Debug)]
pub struct PoolPart<'a> {
    /// The words of its blocks.
    pub bind: Bind<'a>,
    /// Number of its first block.
    pub first_block: u32,
    /// Number of blocks in it.
    pub blocks: u32,
    /// Words of a block.
    pub block_words: u32,
}

impl<'a> PoolPart<'a> {
    /// The parts of `pool`, whose units are blocks.
    pub fn all(pool: &'a SplitBuffer) -> impl Iterator<Item = Self> {
        let block_words = (pool.unit_bytes() / 4) as u32;
        pool.parts().map(move |(blocks, buffer)| Self {
            bind: buffer.bind(),
            first_block: blocks.start as u32,
            blocks: blocks.len() as u32,
            block_words,
        })
    }

    /// Why heads of `side` cannot lie `offset` words into the blocks of this part, if so.
    pub(crate) fn problem(&self, side: &SideLayout, offset: u32) -> Option<String> {
        let Self { blocks, block_words, bind, .. } = self;
        let needed = 4 * u64::from(*blocks) * u64::from(*block_words);
        if needed > bind.bytes {
            return Some(format!(
                "{blocks} blocks of {block_words} words take {needed} bytes, pool has {}",
                bind.bytes
            ));
        }
        let end = u64::from(offset) + side.block_words() as u64;
        (end > u64::from(*block_words))
            .then(|| format!("a side that ends at word {end} does not fit blocks of {block_words} words"))
    }
}

/// The entry of `slots` for position `place` of block `block`.
pub const fn slot(block: u32, place: u32) -> u32 {
    block * BLOCK_TOKENS as u32 + place
}

/// Rows of f32 heads in GPU memory.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The buffer.
    pub bind: Bind<'a>,
    /// Values before the first head of the first token; a multiple of 4, of 2 for f16.
    pub first: u32,
    /// Values from one token to the next; a multiple of 4, of 2 for f16.
    pub row: u32,
}

impl Rows<'_> {
    /// Why this does not hold the heads of `side` of `tokens` tokens as vectors of `width` values, if so.
    pub(super) fn problem(&self, side: &SideLayout, tokens: u32, width: u32) -> Option<String> {
        let Self { bind, first, row } = self;
        if first % width != 0 || row % width != 0 {
            return Some(format!("rows of {row} values from {first} on are not vectors of {width}"));
        }
        let last = u64::from(tokens.saturating_sub(1)) * u64::from(*row);
        let end = u64::from(*first) + last + (side.n_heads * side.head_dim) as u64;
        (4 * end > bind.bytes || end > u64::from(u32::MAX))
            .then(|| format!("{tokens} rows of {row} values end at value {end}, the buffer has {} bytes", bind.bytes))
    }
}

/// Values in the vectors that kernels of this side load.
pub(super) fn vector(side: &SideLayout) -> u32 {
    if side.kv_type.is_coded() { 4 } else { 2 }
}

/// Tiles of 128 values in a head of `side`.
pub(super) fn tiles(side: &SideLayout) -> u32 {
    side.head_dim.div_ceil(128) as u32
}

/// Lanes that a variant gives a head.
pub(super) fn lanes(variant: &turbo_wgsl::Variant) -> u32 {
    match variant.name.rsplit(',').next() {
        Some("lanes32" | "whole32" | "h128") => 32,
        Some("lanes8") => 8,
        _ => 1,
    }
}
