// Weights of values from powers and scales: integers of 11 bits (16 for q8_0) with their sign, as two planes of bytes.

// Component j: byte j of the four words.
fn bytes_of_four(w: vec4<u32>) -> vec4<u32> {
    let low = (w.xy & vec2<u32>(0xffffu)) | (w.zw << vec2<u32>(16u));
    let high = (w.xy >> vec2<u32>(16u)) | (w.zw & vec2<u32>(0xffff0000u));
    let a = vec2<u32>(low.x, high.x);
    let b = vec2<u32>(low.y, high.y);
    let even = (a & vec2<u32>(0x00ff00ffu)) | ((b << vec2<u32>(8u)) & vec2<u32>(0xff00ff00u));
    let odd = ((a >> vec2<u32>(8u)) & vec2<u32>(0x00ff00ffu)) | (b & vec2<u32>(0xff00ff00u));
    return vec4<u32>(even.x, odd.x, even.y, odd.y);
}

// Scales of four keys from their f16 bits.
struct Scales {
    // Mantissa with hidden bit.
    mantissa: vec4<u32>,
    // Exponent field, at least 1.
    field: vec4<i32>,
    negative: vec4<bool>,
}

fn scales_of(half: vec4<u32>) -> Scales {
    let field = (half >> vec4<u32>(10u)) & vec4<u32>(31u);
    let hidden = select(vec4<u32>(0u), vec4<u32>(1024u), field != vec4<u32>(0u));
    return Scales(
        (half & vec4<u32>(0x3ffu)) | hidden,
        bitcast<vec4<i32>>(max(field, vec4<u32>(1u))),
        (half & vec4<u32>(0x8000u)) != vec4<u32>(0u),
    );
}

// Weights of four keys before they are brought into a common frame: product * 2^exponent.
struct Products {
    product: vec4<u32>,
    exponent: vec4<i32>,
}

fn products_of(mantissa: vec4<u32>, exponent: vec4<i32>, scales: Scales) -> Products {
    return Products((mantissa >> vec4<u32>(4u)) * scales.mantissa, exponent + scales.field);
}

// The largest exponent of the leading bits.
fn top_of(p: Products) -> i32 {
    let leading = p.exponent + bitcast<vec4<i32>>(firstLeadingBit(p.product));
    return largest4(select(leading, vec4<i32>(LOWEST), p.product == vec4<u32>(0u)));
}

// The weights in the frame `frame`.
fn weights_of(p: Products, frame: i32, scales: Scales) -> vec4<i32> {
    let drop = bitcast<vec4<u32>>(vec4<i32>(frame - WEIGHT_BITS) - p.exponent);
    let shift = drop & vec4<u32>(31u);
    let rounded = (p.product + ((vec4<u32>(1u) << shift) >> vec4<u32>(1u))) >> shift;
    let gone = (drop > vec4<u32>(31u)) | (p.product == vec4<u32>(0u));
    let weight = bitcast<vec4<i32>>(select(min(rounded, vec4<u32>(WEIGHT_MAX)), vec4<u32>(0u), gone));
    return select(weight, -weight, scales.negative);
}

// Four weights as bytes: the lower bits (7; wide 8, less 128) and those above.
fn planes_of(w: vec4<i32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(w);
#if V_TYPE == 0
    let low = (bits & vec4<u32>(0xffu)) ^ vec4<u32>(0x80u);
    let high = (bits >> vec4<u32>(8u)) & vec4<u32>(0xffu);
#else
    let low = bits & vec4<u32>(0x7fu);
    let high = (bits >> vec4<u32>(7u)) & vec4<u32>(0xffu);
#endif
    return vec2<u32>(
        low.x | (low.y << 8u) | (low.z << 16u) | (low.w << 24u),
        high.x | (high.y << 8u) | (high.z << 16u) | (high.w << 24u),
    );
}
