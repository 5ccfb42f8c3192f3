//! Twin of `wgsl/kernels/kv/kv_decode_f16.wgsl`: class Exact.

use super::cache::CacheSide;

/// Decodes the heads at `slots` (64 * block + place of every token) to `y`, [tokens][heads * head_dim].
///
/// # Panics
/// When a slot lies beyond `pool`, or `y` has more tokens than `slots`.
pub fn kv_decode_f16(side: &CacheSide, pool: &[u32], slots: &[u32], y: &mut [f32]) {
    side.decode(pool, slots, y, true);
}
