// 2^(s / 65536) of Q16 integers in integers; docs/exact-attention.md, section 7.

// Mantissa in [2^23, 2^24); the exponent is s >> 16, the value mantissa * 2^(exponent - 23).
fn exp2_mantissa(s: vec4<i32>) -> vec4<u32> {
    let f = bitcast<vec4<u32>>(s) & vec4<u32>(0xffffu);
    var r = vec4<u32>(3433u) + ((874u * f) >> vec4<u32>(16u));
    r = vec4<u32>(15811u) + ((r * f) >> vec4<u32>(16u));
    r = vec4<u32>(45419u) + ((r * f) >> vec4<u32>(16u));
    return min(vec4<u32>(1u << 23u) + ((r * f) >> vec4<u32>(9u)), vec4<u32>((1u << 24u) - 1u));
}
