// A value that compilers cannot see through: its bits xored with the zero of the params.
//
// Every f32 product goes through it before an add or subtract takes it (docs/exact-attention.md).

fn opaque(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ params.zero);
}

fn opaque4(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(params.zero));
}
