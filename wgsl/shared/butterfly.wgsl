// The two stages of a Walsh-Hadamard transform inside a vector of four: strides 1 and 2.

#import opaque

fn butterflies4(x: vec4<f32>) -> vec4<f32> {
    let a = opaque4(vec4<f32>(x.x + x.y, x.x - x.y, x.z + x.w, x.z - x.w));
    return opaque4(vec4<f32>(a.x + a.z, a.y + a.w, a.x - a.z, a.y - a.w));
}
