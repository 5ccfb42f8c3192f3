//! Storing new K and V heads in the cache.

use turbo_backend::{BLOCK_TOKENS, KvLayer, KvSide, SideLayout};
use turbo_quant::kv::{Fault, encode_head};

use crate::pool::ThreadPool;

/// A head that cannot be stored. None of the job's tokens was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{side} of token {token}: {fault}")]
pub struct KvFault {
    /// Token of the job, from 0.
    pub token: usize,
    /// K or V.
    pub side: KvSide,
    /// What is wrong.
    pub fault: Fault,
}

/// Heads of some tokens of one side, to be encoded.
struct Piece<'a> {
    side: &'a SideLayout,
    which: KvSide,
    /// First token of the piece.
    token: usize,
    heads: &'a [f32],
    codes: &'a mut [u32],
    scales: &'a mut [u16],
    fault: Option<KvFault>,
}

/// Encodes the K and V heads of `n_tokens` tokens and stores them at positions `start ..` of a sequence.
///
/// `k` is [n_tokens][n_kv_heads * head_dim_k] after rope, not rotated; `v` likewise. Block `i` of `blocks` holds
/// positions `64 * i ..`.
///
/// # Errors
/// The first token (K before V) with a head that its type cannot store; nothing has been stored then.
///
/// # Panics
/// When `k`, `v`, the block table or a pool is shorter than the arguments say.
#[allow(clippy::too_many_arguments, reason = "two sides of pools and values, and where they go")]
pub fn kv_write(
    pool: &ThreadPool,
    layer: &KvLayer,
    k_pool: &mut [u32],
    v_pool: &mut [u32],
    blocks: &[u32],
    start: usize,
    n_tokens: usize,
    k: &[f32],
    v: &[f32],
) -> Result<(), KvFault> {
    let (mut k_new, mut v_new) = (Encoded::new(&layer.k, n_tokens), Encoded::new(&layer.v, n_tokens));
    let per_piece = n_tokens.div_ceil(2 * pool.threads()).max(1);
    let mut pieces = k_new.pieces(&layer.k, KvSide::K, k, per_piece);
    pieces.extend(v_new.pieces(&layer.v, KvSide::V, v, per_piece));
    pool.run_pieces(&mut pieces, 1, |_, pieces| pieces.iter_mut().for_each(Piece::encode));
    let faults = pieces.iter().filter_map(|piece| piece.fault);
    if let Some(fault) = faults.min_by_key(|fault| (fault.token, fault.side)) {
        return Err(fault);
    }
    k_new.store(&layer.k, k_pool, blocks, start);
    v_new.store(&layer.v, v_pool, blocks, start);
    Ok(())
}

/// Encoded heads of one side: [token][head][word] and [token][head][scale block].
struct Encoded {
    codes: Vec<u32>,
    scales: Vec<u16>,
}

impl Encoded {
    fn new(side: &SideLayout, n_tokens: usize) -> Self {
        let heads = n_tokens * side.n_heads;
        Self { codes: vec![0; heads * side.code_words], scales: vec![0; heads * side.scale_blocks] }
    }

    fn pieces<'a>(
        &'a mut self,
        side: &'a SideLayout,
        which: KvSide,
        heads: &'a [f32],
        per_piece: usize,
    ) -> Vec<Piece<'a>> {
        let mut scales = &mut self.scales[..];
        let codes = self.codes.chunks_mut(per_piece * side.n_heads * side.code_words);
        let heads = heads.chunks(per_piece * side.n_heads * side.head_dim);
        let mut pieces = Vec::new();
        for (i, (codes, heads)) in codes.zip(heads).enumerate() {
            let n_scales = heads.len() / side.head_dim * side.scale_blocks;
            let (own, rest) = std::mem::take(&mut scales).split_at_mut(n_scales);
            scales = rest;
            pieces.push(Piece { side, which, token: i * per_piece, heads, codes, scales: own, fault: None });
        }
        pieces
    }

    fn store(&self, side: &SideLayout, pool: &mut [u32], blocks: &[u32], start: usize) {
        let words = side.code_words;
        for (i, codes) in self.codes.chunks_exact(words).enumerate() {
            let (position, head) = (start + i / side.n_heads, i % side.n_heads);
            let (block, t) = (blocks[position / BLOCK_TOKENS] as usize, position % BLOCK_TOKENS);
            let (unit_codes, unit_scales) = side.unit_mut(pool, block, head);
            unit_codes[t * words..][..words].copy_from_slice(codes);
            for (b, &bits) in self.scales[i * side.scale_blocks..][..side.scale_blocks].iter().enumerate() {
                let word = &mut unit_scales[b * BLOCK_TOKENS / 2 + t / 2];
                let shift = 16 * (t % 2);
                *word = *word & !(0xffff << shift) | u32::from(bits) << shift;
            }
        }
    }
}

impl Piece<'_> {
    fn encode(&mut self) {
        let side = self.side;
        for (i, head) in self.heads.chunks_exact(side.head_dim).enumerate() {
            let codes = &mut self.codes[i * side.code_words..][..side.code_words];
            let scales = &mut self.scales[i * side.scale_blocks..][..side.scale_blocks];
            if let Err(fault) = encode_head(side.kv_type, head, codes, scales) {
                self.fault = Some(KvFault { token: self.token + i / side.n_heads, side: self.which, fault });
                return;
            }
        }
    }
}
