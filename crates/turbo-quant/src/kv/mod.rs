//! The KV cache codecs: one head of one token to codes and scales, and back.
//!
//! Formats and arithmetic: `docs/exact-attention.md` sections 1 to 5. Every function gives the same
//! bits whatever instructions the processor has.

mod decode;
mod encode;
mod levels;
mod pack;
mod query;

pub use decode::decode_head;
pub use encode::encode_head;
pub use levels::levels_head;
pub use query::{QueryCodes, quantize_query};

pub(crate) use decode::decode_head_body;
pub(crate) use encode::encode_head_body;
#[cfg(target_arch = "x86_64")]
pub(crate) use levels::code_levels;
pub(crate) use levels::{expand, levels_head_body};
pub(crate) use query::quantize_query_body;

use crate::kv_type::KvType;
use crate::turbo::tables::{Table, table};

/// Why a head cannot be stored in the cache, or a query not be used. Nothing is stored then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A value is inf or nan.
    #[error("found inf or nan in a head, expected finite values: the model's weights or its computation are broken")]
    NonFinite,
    /// A scale, or a value of an f16 cache, is beyond the range of f16.
    #[error("found a head whose value or scale is above 65504, the largest f16: a q8_0 cache reaches furthest")]
    Overflow,
}

/// The level table of a turbo type for groups of `n` values; `None` for other types.
#[inline(always)]
pub(crate) fn turbo_table(ty: KvType, n: usize) -> Option<&'static Table> {
    ty.is_turbo().then(|| table(ty.code_bits() as u32, n))
}

/// Power of two in the value of a code: value = scale * level * 2^-shift. 0 for types other than turbo.
///
/// `n` is the size of the scale block.
#[inline]
pub fn block_shift(ty: KvType, n: usize) -> i32 {
    turbo_table(ty, n).map_or(0, |table| table.shift)
}

/// 2^-shift of a scale block of `n` values: value = scale * level * `block_mult`. 1 for types other than turbo.
#[inline]
pub fn block_mult(ty: KvType, n: usize) -> f32 {
    f32::from_bits(((127 - block_shift(ty, n)) as u32) << 23)
}

/// Checks the lengths that a caller gives.
#[track_caller]
pub(crate) fn check_lengths(ty: KvType, head_dim: usize, codes: usize, scales: Option<usize>) {
    assert!(ty.supports_head(head_dim), "{ty} cannot hold a head of {head_dim} values");
    let words = ty.code_words(head_dim);
    assert_eq!(codes, words, "{ty} codes of a head of {head_dim} values take {words} words");
    if let Some(scales) = scales {
        let blocks = ty.scale_blocks(head_dim);
        assert_eq!(scales, blocks, "{ty} codes of a head of {head_dim} values have {blocks} scales");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_was_found_and_expected() {
        assert_eq!(
            Fault::NonFinite.to_string(),
            "found inf or nan in a head, expected finite values: the model's weights or its computation are broken"
        );
        assert_eq!(
            Fault::Overflow.to_string(),
            "found a head whose value or scale is above 65504, the largest f16: a q8_0 cache reaches furthest"
        );
    }

    #[test]
    fn block_mult_is_two_to_the_minus_shift() {
        for ty in KvType::ALL {
            for n in [16, 32, 64, 128] {
                assert_eq!(f64::from(block_mult(ty, n)), 2_f64.powi(-block_shift(ty, n)));
            }
        }
        assert_eq!(block_mult(KvType::Turbo4, 128), 1.0 / 512.0);
        assert_eq!(block_mult(KvType::Q8_0, 32), 1.0);
    }
}
