// f32 by its bits: exponent fields and powers of two, without a float operation.

fn exponent_field(x: f32) -> u32 {
    return (bitcast<u32>(x) >> 23u) & 0xffu;
}

fn exponent_field4(x: vec4<f32>) -> vec4<u32> {
    return (bitcast<vec4<u32>>(x) >> vec4<u32>(23u)) & vec4<u32>(0xffu);
}

// Largest exponent field of four values.
fn max_field4(x: vec4<f32>) -> u32 {
    let field = exponent_field4(x);
    return max(max(field.x, field.y), max(field.z, field.w));
}

// x * 2^k: +0.0 for zeros, denormals and results below the normal range; the largest finite value above it.
fn scale_pow2(x: f32, k: i32) -> f32 {
    let bits = bitcast<u32>(x);
    let field = i32((bits >> 23u) & 0xffu);
    let scaled = field + k;
    let moved = (bits & 0x807fffffu) | ((bitcast<u32>(scaled) & 0xffu) << 23u);
    let capped = select(moved, (bits & 0x80000000u) | 0x7f7fffffu, scaled >= 255);
    return bitcast<f32>(select(capped, 0u, field == 0 || scaled <= 0));
}

fn scale_pow2_4(x: vec4<f32>, k: i32) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let field = vec4<i32>((bits >> vec4<u32>(23u)) & vec4<u32>(0xffu));
    let scaled = field + vec4<i32>(k);
    let moved = (bits & vec4<u32>(0x807fffffu)) | ((bitcast<vec4<u32>>(scaled) & vec4<u32>(0xffu)) << vec4<u32>(23u));
    let largest = (bits & vec4<u32>(0x80000000u)) | vec4<u32>(0x7f7fffffu);
    let capped = select(moved, largest, scaled >= vec4<i32>(255));
    let lost = (field == vec4<i32>(0)) | (scaled <= vec4<i32>(0));
    return bitcast<vec4<f32>>(select(capped, vec4<u32>(0u), lost));
}

// Four values of a group whose largest exponent field is `field`, times 2^(127 - field); section 2 of
// docs/exact-attention.md. Zeros, denormals and values 2^60 below the largest become +0.0.
fn normalise4(x: vec4<f32>, field: u32) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let own = exponent_field4(x);
    let moved = (bits & vec4<u32>(0x807fffffu)) | ((own + vec4<u32>(127u - field)) << vec4<u32>(23u));
    let kept = (own != vec4<u32>(0u)) & ((vec4<u32>(field) - own) <= vec4<u32>(60u));
    return bitcast<vec4<f32>>(select(vec4<u32>(0u), moved, kept));
}
