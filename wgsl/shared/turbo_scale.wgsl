// The f16 scale of a turbo group; docs/exact-attention.md, section 4.

#import f16_bits
#import float_bits
#import opaque

// Whether f16 bits `h` reach sqrt(sum / power) * 2^k: whether the midpoint above them is beyond it.
fn reaches(h: u32, sum: f32, power: f32, k: i32) -> bool {
    let parts = f16_parts(h);
    let midpoint = 2 * parts.x + 1;
    return scale_pow2(sum, 2 * (k - parts.y + 1)) < opaque(f32(midpoint * midpoint) * power);
}

// f16 bits nearest sqrt(sum / power) * 2^k, walked to from a guess.
fn turbo_scale(sum: f32, power: f32, k: i32) -> u32 {
    var h = min(f16_or_infinity(scale_pow2(sqrt(sum / power), k)) & 0x7fffu, F16_INFINITY - 1u);
    while h > 0u && reaches(h - 1u, sum, power, k) {
        h -= 1u;
    }
    while h < F16_INFINITY && !reaches(h, sum, power, k) {
        h += 1u;
    }
    return h;
}
