// Bits of packed codes to nibbles.

// Sixteen bits, eight 2-bit codes: codes in nibbles.
fn spread_pairs(x: u32) -> u32 {
    let a = (x | (x << 8u)) & 0x00ff00ffu;
    let b = (a | (a << 4u)) & 0x0f0f0f0fu;
    return (b | (b << 2u)) & 0x33333333u;
}

// Eight bits to bit 2 of eight nibbles.
fn spread_bits(x: u32) -> u32 {
    let a = (x | (x << 12u)) & 0x000f000fu;
    let b = (a | (a << 6u)) & 0x03030303u;
    return ((b << 2u) | (b << 5u)) & 0x44444444u;
}
