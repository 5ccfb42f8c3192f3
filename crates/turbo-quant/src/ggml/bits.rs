//! Reading fields of a block, and small tricks on eight bytes at a time.

/// The `N` bytes at `at` of a block. Offsets and sizes are constants of the format, so the bounds
/// check disappears.
#[inline(always)]
pub(super) fn field<const N: usize>(block: &[u8], at: usize) -> &[u8; N] {
    block[at..].first_chunk().expect("the field lies inside its block")
}

/// The little-endian 16-bit word at byte `at`.
#[inline(always)]
pub(super) fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(*field(block, at))
}

/// The little-endian 32-bit word at byte `at`.
#[inline(always)]
pub(super) fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*field(block, at))
}

/// Codes from one byte each. The result is a value of its own, not a place in the caller's
/// buffers: so nothing can overlap and the loop becomes a few vector instructions.
#[inline(always)]
pub(super) fn codes_of<const N: usize>(bytes: &[u8; N], code: impl Fn(u8) -> u8) -> [i8; N] {
    let mut codes = [0; N];
    for (out, &byte) in codes.iter_mut().zip(bytes) {
        *out = code(byte) as i8;
    }
    codes
}

/// Codes from two bytes each, say of low and of high bits; see [`codes_of`].
#[inline(always)]
pub(super) fn codes_of_two<const N: usize>(low: &[u8; N], high: &[u8; N], code: impl Fn(u8, u8) -> u8) -> [i8; N] {
    let mut codes = [0; N];
    for (out, (&low, &high)) in codes.iter_mut().zip(low.iter().zip(high)) {
        *out = code(low, high) as i8;
    }
    codes
}

/// Widens half precision without a branch or a call, so that loops around it vectorise.
///
/// Shifted into place, the exponent is 112 too small: one exact product corrects it, for
/// subnormals too. Infinity and NaN keep their meaning (not every NaN its payload).
#[inline(always)]
pub(super) fn f16_bits(half: u16) -> f32 {
    const TWO_POW_112: f32 = f32::from_bits((112 + 127) << 23);
    const INFINITY: u32 = 0x7c00 << 13;
    let magnitude = (u32::from(half) & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * TWO_POW_112).to_bits();
    let bits = if magnitude >= INFINITY { magnitude | 0x7f80_0000 } else { finite };
    f32::from_bits(bits | (u32::from(half) & 0x8000) << 16)
}

/// Eight bytes as eight signed codes, first code lowest.
#[inline(always)]
pub(super) fn store8(codes: &mut [i8; 8], word: u64) {
    *codes = bytemuck::cast(word.to_le_bytes());
}

/// Negates the bytes of `word` whose byte of `mask` is 0xff. Every byte must be 1 to 127.
#[inline(always)]
pub(super) fn negate8(word: u64, mask: u64) -> u64 {
    // Two's complement per byte; no carry leaves a byte because no byte is zero.
    (word ^ mask).wrapping_add(mask & ONES)
}

/// Byte `j` is 0xff where bit `j` of `bits` is set.
#[inline(always)]
pub(super) fn byte_mask(bits: u8) -> u64 {
    BYTE_MASKS[usize::from(bits)]
}

/// Byte-wise wrapping sum.
#[inline(always)]
pub(super) fn add8(a: u64, b: u64) -> u64 {
    const HIGH: u64 = 0x80 * ONES;
    ((a & !HIGH) + (b & !HIGH)) ^ ((a ^ b) & HIGH)
}

/// The byte 1 eight times.
pub(super) const ONES: u64 = 0x0101_0101_0101_0101;

/// Entry `bits`: see [`byte_mask`].
static BYTE_MASKS: [u64; 256] = {
    let mut masks = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut j = 0;
        while j < 8 {
            if bits >> j & 1 == 1 {
                masks[bits] |= 0xff << (8 * j);
            }
            j += 1;
        }
        bits += 1;
    }
    masks
};

/// [`byte_mask`] of seven sign bits and the eighth that makes their number even: the IQ2 and IQ3
/// formats store only even sign patterns.
#[inline(always)]
pub(super) fn even_mask(seven: u32) -> u64 {
    EVEN_MASKS[seven as usize & 0x7f]
}

static EVEN_MASKS: [u64; 128] = {
    let mut masks = [0; 128];
    let mut seven = 0_usize;
    while seven < 128 {
        masks[seven] = BYTE_MASKS[seven | (seven.count_ones() as usize & 1) << 7];
        seven += 1;
    }
    masks
};

/// Unpacks grid points: point `p` has `W` coordinates of `BITS` bits, lowest first, each replaced
/// by its byte in `levels`.
pub(super) const fn unpack_grid<const N: usize, const BITS: usize, const W: usize>(
    packed: &[u16; N],
    levels: &[u8],
) -> [u64; N] {
    let mut points = [0; N];
    let mut p = 0;
    while p < N {
        let mut j = 0;
        while j < W {
            let code = (packed[p] as usize >> (BITS * j)) & ((1 << BITS) - 1);
            points[p] |= (levels[code] as u64) << (8 * j);
            j += 1;
        }
        p += 1;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_widens_like_the_half_crate() {
        for bits in 0..=u16::MAX {
            let (got, want) = (f16_bits(bits), half::f16::from_bits(bits).to_f32());
            assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{bits:#06x}");
        }
    }

    #[test]
    fn eight_byte_tricks_match_byte_arithmetic() {
        let word = u64::from_le_bytes([1, 8, 25, 43, 62, 127, 2, 15]);
        for signs in 0..=u8::MAX {
            let got = negate8(word, byte_mask(signs)).to_le_bytes();
            for (j, (&got, value)) in got.iter().zip(word.to_le_bytes()).enumerate() {
                let want = if signs >> j & 1 == 1 { -(value as i8) } else { value as i8 };
                assert_eq!(got as i8, want);
            }
            let sum = add8(word, u64::from(signs) * ONES).to_le_bytes();
            assert_eq!(sum, word.to_le_bytes().map(|byte| byte.wrapping_add(signs)));
        }
        for seven in 0..128_u32 {
            let mask = even_mask(seven | 0xff80);
            assert_eq!(mask.count_ones() % 16, 0, "an even number of bytes");
            assert_eq!(mask << 8, byte_mask(seven as u8) << 8);
        }
    }
}
