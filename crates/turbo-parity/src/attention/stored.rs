//! Heads as a cache stores them.

use turbo_backend::{BLOCK_TOKENS, SideLayout};
use turbo_quant::kv::encode_head;

use crate::Inputs;

/// One stored head.
pub(super) struct StoredHead {
    codes: Vec<u32>,
    scales: Vec<u16>,
}

impl StoredHead {
    /// Normal values times 1/2, 1 or 2.
    pub(super) fn random(side: &SideLayout, random: &mut Inputs) -> Self {
        let amplitude = f32::from_bits((126 + random.below(3)) << 23);
        let values: Vec<f32> = random.normals(side.head_dim).iter().map(|x| x * amplitude).collect();
        let (mut codes, mut scales) = (vec![0; side.code_words], vec![0; side.scale_blocks]);
        // The values are far from the ends of f16: there is no fault.
        let _ = encode_head(side.kv_type, &values, &mut codes, &mut scales);
        Self { codes, scales }
    }

    /// Puts it at `place` of a block that starts at `block[0]` and is 0 there.
    pub(super) fn store(&self, block: &mut [u32], side: &SideLayout, head: usize, place: usize) {
        let (codes, scales) =
            block[head * side.unit_words()..][..side.unit_words()].split_at_mut(BLOCK_TOKENS * side.code_words);
        codes[place * side.code_words..][..side.code_words].copy_from_slice(&self.codes);
        for (b, &bits) in self.scales.iter().enumerate() {
            scales[b * BLOCK_TOKENS / 2 + place / 2] |= u32::from(bits) << (16 * (place % 2));
        }
    }
}
