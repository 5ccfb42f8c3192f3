// Products of a unit of weights with a unit of activations: codes (turbo_gpu::matmul::Codes) of 8 bits, or of 16 in two
// planes, and heads (scale, sums of the codes of the halves, sum of squares of the unit before its norm).

fn dot_16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

// The product by the dots of the halves of the codes.
fn scaled_dots(u: Unit, codes_dots: vec2<i32>, head: vec4<f32>) -> f32 {
    var dots = codes_dots;
    let sums = head.yz;
#ifdef OFFSET
    dots -= vec2<i32>(sums) * OFFSET;
#endif
#ifdef HALVES
    let scaled = vec2<f32>(dots) * u.scale;
    var t = scaled.x + scaled.y;
#ifdef MINS
    t -= dot(u.minimum, sums);
#endif
#else
    var t = f32(dots.x + dots.y) * u.scale.x;
#ifdef MINS
    t -= u.minimum.x * (sums.x + sums.y);
#endif
#endif
    return t * head.x;
}
