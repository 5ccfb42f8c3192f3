// limit * tanh(s / limit) of a Q16 log2 score in integers; docs/exact-attention.md, section 6.

#import exp2_exact

// The upper 40 bits of a * b / 2^24, cut to 32.
fn product_24(a: u32, b: u32) -> u32 {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let low = al * bl;
    let middle = ah * bl + (low >> 16u);
    let cross = al * bh + (middle & 0xffffu);
    let high = ah * bh + (middle >> 16u) + (cross >> 16u);
    return (high << 8u) | ((cross & 0xffffu) >> 8u);
}

// `limit`: the cap in the units of s; `factor`: f32 nearest 2 / (cap in natural units).
fn soft_cap(s: vec4<i32>, limit: u32, factor: f32) -> vec4<i32> {
    const ONE = 1u << 23u;
    let z = vec4<i32>(round(clamp(vec4<f32>(abs(s)) * factor, vec4<f32>(0.0), vec4<f32>(67108864.0))));
    let u = exp2_mantissa(-z) >> min(bitcast<vec4<u32>>(-(-z >> vec4<u32>(16u))), vec4<u32>(31u));
    // (ONE - u) / (ONE + u) by long division, eight bits a step.
    let divisor = ONE + u;
    var rest = ONE - u;
    var ratio = rest / divisor;
#repeat STEP 3
    rest = (rest % divisor) << vec4<u32>(8u);
    ratio = (ratio << vec4<u32>(8u)) | (rest / divisor);
#end
    let capped = vec4<i32>(
        i32(product_24(limit, ratio.x)),
        i32(product_24(limit, ratio.y)),
        i32(product_24(limit, ratio.z)),
        i32(product_24(limit, ratio.w)),
    );
    return select(capped, -capped, s < vec4<i32>(0));
}
