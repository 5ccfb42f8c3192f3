//! Twin of `wgsl/kernels/kv/kv_encode_roped.wgsl`: class Bounded for norm and rotation, Exact behind them.

use turbo_backend::plan::RopeStyle;

use super::cache::{CacheSide, HeadFault};
use crate::ops::{RopeAngles, rms_norm};

/// What is done to heads before they are stored: the factors of the norm and its epsilon, if there is one, then the
/// rotation.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// Factors of a head, and what is added to the mean square.
    pub norm: Option<(&'a [f32], f32)>,
    /// Cosines and sines of every token.
    pub angles: &'a RopeAngles,
    /// Which values are pairs.
    pub style: RopeStyle,
}

impl Turn<'_> {
    /// Norms and turns the heads of `x`, `heads` of `head_dim` values to a token.
    pub fn apply(&self, x: &mut [f32], heads: usize, head_dim: usize) {
        if let Some((weight, eps)) = self.norm {
            rms_norm(x, weight, eps);
        }
        for (token, row) in x.chunks_exact_mut(heads * head_dim).enumerate() {
            self.angles.apply(self.style, token, row, head_dim);
        }
    }
}

/// Stores keys after norm and rotation: `x` is [tokens][heads * head_dim] as the product left it, `slots` has
/// 64 * block + place of every token. Values are stored by [`super::kv_encode`] and [`super::kv_encode_f16`].
///
/// Returns every head that cannot be stored, in order; nothing of it has been.
///
/// # Panics
/// When a slot lies beyond `pool`, or `x` has more tokens than `slots` or `turn`.
pub fn kv_encode_roped(
    side: &CacheSide,
    turn: &Turn<'_>,
    x: &[f32],
    slots: &[u32],
    pool: &mut [u32],
) -> Vec<HeadFault> {
    let mut x = x.to_vec();
    turn.apply(&mut x, side.layout.n_heads, side.layout.head_dim);
    side.encode(&x, slots, pool)
}
