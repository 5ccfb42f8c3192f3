// f16 by its bits, in integer arithmetic: drivers differ in pack2x16float.

const F16_INFINITY = 0x7c00u;

// Magnitudes (f32 bits without sign) from here on, 65520, round beyond the largest f16.
const F16_OVERFLOW = 0x477ff000u;

// f16 bits nearest to `x`, ties to even, for a magnitude below 65520.
fn f16_round(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    let rebased = magnitude - (112u << 23u);
    let normal = (rebased + 0xfffu + ((rebased >> 13u) & 1u)) >> 13u;
    let drop = min(126u - (magnitude >> 23u), 25u);
    let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    let subnormal = (mantissa + ((1u << drop) >> 1u) - 1u + ((mantissa >> drop) & 1u)) >> drop;
    return ((bits >> 16u) & 0x8000u) | select(subnormal, normal, magnitude >= 0x38800000u);
}

// The same, F16_INFINITY without sign from 65520 up.
fn f16_or_infinity(x: f32) -> u32 {
    let over = (bitcast<u32>(x) & 0x7fffffffu) >= F16_OVERFLOW;
    return select(f16_round(x), F16_INFINITY, over);
}

// The f32 of f16 bits.
fn f32_from_f16(h: u32) -> f32 {
    let field = (h >> 10u) & 31u;
    let fraction = h & 0x3ffu;
    let subnormal = bitcast<u32>(f32(i32(fraction)) * 0x1p-24f);
    let normal = select((field + 112u) << 23u, 0x7f800000u, field == 31u) | (fraction << 13u);
    return bitcast<f32>(((h & 0x8000u) << 16u) | select(normal, subnormal, field == 0u));
}

// Mantissa m and exponent q of finite f16 bits without sign: value = m * 2^q.
fn f16_parts(h: u32) -> vec2<i32> {
    let field = i32(h >> 10u);
    return select(vec2<i32>(i32((h & 0x3ffu) | 0x400u), field - 25), vec2<i32>(i32(h), -24), field == 0);
}
