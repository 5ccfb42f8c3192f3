//! Where the twins find heads: the layout that the kernels of `wgsl/kernels/kv` use.

use turbo_backend::{BLOCK_TOKENS, SideLayout};
use turbo_quant::kv::{Fault, decode_head, encode_head};

/// One side of a pool whose blocks may hold the other side too.
#[derive(Clone, Copy, Debug)]
pub struct CacheSide {
    /// How its heads are stored.
    pub layout: SideLayout,
    /// Words of a block, both sides together.
    pub block_words: usize,
    /// Words of a block before this side.
    pub offset: usize,
}

/// A head that cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadFault {
    /// Token of the batch, from 0.
    pub token: usize,
    /// The head, from 0.
    pub head: usize,
    /// What is wrong.
    pub fault: Fault,
}

impl CacheSide {
    /// Word of the codes of `head` of the token at `slot`, and word of its first scale.
    fn places(&self, slot: u32, head: usize) -> (usize, usize) {
        let (block, place) = (slot as usize / BLOCK_TOKENS, slot as usize % BLOCK_TOKENS);
        let unit = block * self.block_words + self.offset + head * self.layout.unit_words();
        let words = self.layout.code_words;
        (unit + place * words, unit + BLOCK_TOKENS * words + place / 2)
    }

    /// Stores `x`, [tokens][heads * head_dim], at `slots`, one head after the other; a head with a fault is left out.
    pub(super) fn encode(&self, x: &[f32], slots: &[u32], pool: &mut [u32]) -> Vec<HeadFault> {
        let layout = &self.layout;
        let (mut codes, mut scales) = (vec![0; layout.code_words], vec![0; layout.scale_blocks]);
        let mut faults = Vec::new();
        for (i, values) in x.chunks_exact(layout.head_dim).enumerate() {
            let (token, head) = (i / layout.n_heads, i % layout.n_heads);
            if let Err(fault) = encode_head(layout.kv_type, values, &mut codes, &mut scales) {
                faults.push(HeadFault { token, head, fault });
                continue;
            }
            let (to, first_scale) = self.places(slots[token], head);
            pool[to..to + codes.len()].copy_from_slice(&codes);
            let shift = 16 * (slots[token] % 2);
            for (block, &bits) in scales.iter().enumerate() {
                let word = &mut pool[first_scale + block * BLOCK_TOKENS / 2];
                *word = *word & !(0xffff << shift) | u32::from(bits) << shift;
            }
        }
        faults
    }

    /// The heads at `slots` as values, [tokens][heads * head_dim].
    pub(super) fn decode(&self, pool: &[u32], slots: &[u32], y: &mut [f32], rotated: bool) {
        let layout = &self.layout;
        let mut scales = vec![0; layout.scale_blocks];
        for (i, values) in y.chunks_exact_mut(layout.head_dim).enumerate() {
            let slot = slots[i / layout.n_heads];
            let (from, first_scale) = self.places(slot, i % layout.n_heads);
            for (block, bits) in scales.iter_mut().enumerate() {
                *bits = (pool[first_scale + block * BLOCK_TOKENS / 2] >> (16 * (slot % 2))) as u16;
            }
            decode_head(layout.kv_type, &pool[from..from + layout.code_words], &scales, values, rotated);
        }
    }
}
