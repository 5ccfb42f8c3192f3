//! Twin of `wgsl/kernels/kv/kv_encode.wgsl`: class Exact.

use super::cache::{CacheSide, HeadFault};

/// Stores heads as the coded types: `x` is [tokens][heads * head_dim] after rope, not rotated, `slots` has
/// 64 * block + place of every token.
///
/// Returns every head that cannot be stored, in order; nothing of it has been.
///
/// # Panics
/// When a slot lies beyond `pool`, or `x` has more tokens than `slots`.
pub fn kv_encode(side: &CacheSide, x: &[f32], slots: &[u32], pool: &mut [u32]) -> Vec<HeadFault> {
    side.encode(x, slots, pool)
}
