//! TQ1_0 and TQ2_0: values -1, 0, 1 times one scale per 256 values.
//!
//! Sources: the `block_tq*_0` structs of ggml; the unpacking as stated by gguf/quants.py.

use super::bits::{codes_of, field};
use super::cpu::Cpu;
use super::k_quants::two_bits;

/// Digits of base 3: a byte holds five (four in the last bytes) as a fraction of 256, so the
/// digit after n multiplications by 3 (modulo 256) is the overflow of one more.
#[inline(always)]
fn digits<const N: usize>(packed: &[u8; N], codes: &mut [i8]) {
    let (runs, _) = codes.as_chunks_mut::<N>();
    let mut power = 1_u8;
    for run in runs {
        *run = codes_of(packed, |byte| {
            let rest = byte.wrapping_mul(power);
            // The overflow of 3 * rest, in bytes: one carry from 86 on, two from 171 on.
            (u8::from(rest >= 86) + u8::from(rest >= 171)).wrapping_sub(1)
        });
        power = power.wrapping_mul(3);
    }
}

/// 32 bytes of five digits, 16 bytes of five, 4 bytes of four, scale.
#[inline(always)]
pub(super) fn tq1_0(cpu: impl Cpu, block: &[u8; 54], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    *scales = [cpu.f16_at(block, 52); 8];
    digits::<32>(field(block, 0), &mut codes[..160]);
    digits::<16>(field(block, 32), &mut codes[160..240]);
    digits::<4>(field(block, 48), &mut codes[240..]);
}

/// 2-bit codes minus 1, scale.
#[inline(always)]
pub(super) fn tq2_0(cpu: impl Cpu, block: &[u8; 66], codes: &mut [i8; 256], scales: &mut [f32; 8]) {
    *scales = [cpu.f16_at(block, 64); 8];
    two_bits::<1>(field(block, 0), codes);
}
