//! Packing one code per byte into planar u32 words, and back. Value order is low bit to high bit.

/// Packs the low nibbles of 8 bytes.
#[inline(always)]
fn nibbles(bytes: u64) -> u32 {
    let x = bytes & 0x0f0f_0f0f_0f0f_0f0f;
    let x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

/// Packs the low two bits of 8 bytes into 16 bits.
#[inline(always)]
fn pairs(bytes: u64) -> u32 {
    let x = bytes & 0x0303_0303_0303_0303;
    let x = (x | x >> 6) & 0x000f_000f_000f_000f;
    let x = (x | x >> 12) & 0x0000_00ff_0000_00ff;
    (x | x >> 24) as u32 & 0xffff
}

/// Packs bit 2 of 8 bytes into 8 bits.
#[inline(always)]
fn high_bits(bytes: u64) -> u32 {
    // The multiplication gathers bit 0 of byte i at bit 56 + i; no two partial products meet.
    ((bytes >> 2 & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

#[inline(always)]
fn eights(codes: &[u8]) -> impl Iterator<Item = u64> {
    codes.as_chunks::<8>().0.iter().map(|&bytes| u64::from_le_bytes(bytes))
}

/// 4-bit codes: word i/8, bits 4(i%8).. .
#[inline(always)]
pub(super) fn pack4(codes: &[u8], words: &mut [u32]) {
    for (word, bytes) in words.iter_mut().zip(eights(codes)) {
        *word = nibbles(bytes);
    }
}

/// Low two bits of the codes: word i/16, bits 2(i%16).. .
#[inline(always)]
pub(super) fn pack2(codes: &[u8], words: &mut [u32]) {
    for (word, codes) in words.iter_mut().zip(codes.as_chunks::<16>().0) {
        let mut halves = eights(codes).map(pairs);
        *word = halves.next().unwrap_or(0) | halves.next().unwrap_or(0) << 16;
    }
}

/// Bit 2 of the codes: word i/32, bit i%32.
#[inline(always)]
pub(super) fn pack_high(codes: &[u8], words: &mut [u32]) {
    for (word, codes) in words.iter_mut().zip(codes.chunks(32)) {
        *word = eights(codes).enumerate().map(|(i, bytes)| high_bits(bytes) << (8 * i)).sum();
    }
}

/// Signed bytes: word i/4, bits 8(i%4).. .
#[inline(always)]
pub(super) fn pack8(codes: &[i8], words: &mut [u32]) {
    for (word, codes) in words.iter_mut().zip(codes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(codes.map(|c| c as u8));
    }
}
