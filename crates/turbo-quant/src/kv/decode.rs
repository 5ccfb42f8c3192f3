//! Codes and scales back to values.

use super::{block_mult, check_lengths};
use crate::kv_type::{KvType, rotation_groups};
use crate::simd::Isa;
use crate::turbo::exact::f32_from_f16;
use crate::turbo::rotate::{Direction, rotate_head_body};

/// Decodes one head of `out.len()` values.
///
/// With `rotated` the values stay rotated and are exactly scale * level * 2^-shift, without it they are
/// rotated back. f16 heads are never rotated.
///
/// # Panics
/// When `ty` cannot hold a head of `out.len()` values, or a length does not fit it.
pub fn decode_head(ty: KvType, codes: &[u32], scales: &[u16], out: &mut [f32], rotated: bool) {
    check_lengths(ty, out.len(), codes.len(), Some(scales.len()));
    crate::simd::decode_head(ty, codes, scales, out, rotated);
}

#[inline(always)]
pub(crate) fn decode_head_body<I: Isa>(ty: KvType, codes: &[u32], scales: &[u16], out: &mut [f32], rotated: bool) {
    if ty == KvType::F16 {
        for (pair, &word) in out.as_chunks_mut::<2>().0.iter_mut().zip(codes) {
            *pair = [f32_from_f16(word as u16), f32_from_f16((word >> 16) as u16)];
        }
        return;
    }
    let (low, high) = codes.split_at(out.len() * ty.low_bits() / 32);
    let (mut at, mut scale_at) = (0, 0);
    for n in rotation_groups(out.len()) {
        let mut levels = [0; 128];
        let levels = &mut levels[..n];
        I::expand(ty, n, &low[at * ty.low_bits() / 32..], high.get(at / 32..).unwrap_or(&[]), levels);
        let block = if ty.is_turbo() { n } else { n.min(32) };
        let values = out[at..at + n].chunks_mut(block).zip(levels.chunks(block));
        for ((values, levels), &scale) in values.zip(&scales[scale_at..]) {
            let unit = f32_from_f16(scale) * block_mult(ty, block);
            for (value, &level) in values.iter_mut().zip(levels) {
                *value = unit * f32::from(level);
            }
        }
        at += n;
        scale_at += n / block;
    }
    if !rotated {
        rotate_head_body::<I>(out, Direction::Inverse);
    }
}
