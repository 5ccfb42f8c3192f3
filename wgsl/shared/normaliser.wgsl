// What folded sums are multiplied with to give values; docs/exact-attention.md, section 10.
//
// Words: V_TYPE.

#if V_TYPE == 0
const WEIGHT_BITS = 14;
#else
const WEIGHT_BITS = 10;
#endif

// Factor and exponent of the normalised sums: value = sum * x * 2^y, y without the frame of the sum.
fn normaliser(denominator: Frame) -> vec2<f32> {
    let l = max(denominator.bound, 1u);
    let el2 = 16 - i32(countLeadingZeros(l));
    let l16 = select(l << u32(max(-el2, 0)), l >> u32(max(el2, 0)), el2 >= 0);
    let whole = 0x80000000u / l16;
    let rest = 0x80000000u % l16;
    let factor = f32(i32(min((whole << 15u) + (rest << 15u) / l16, 0x7fffffffu)));
    return vec2<f32>(factor, f32(-(denominator.e - 23) - el2 - 46 - WEIGHT_BITS - 44));
}
