// Activations as f16, for products through cooperative matrices: halves[token] = x[token] / scale[token], where the scale
// is the power of two that brings the largest value of the token into [2^14, 2^15). So nothing overflows, however large.
// Tokens below 1e-30 become zeros; a token with a value that is not finite becomes zeros with the scale nan.
//
// x: per token params.vectors vectors of four f32
// halves: per token params.row vectors of four f16, zeros behind the last of x
// scales: a value per token
// grid: a workgroup of 256 invocations per token
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/halves.rs

#import grid

struct HalvesParams {
    tokens: u32,
    vectors: u32,
    row: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> halves: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;
#params HalvesParams

// Bits of the largest magnitude that each invocation saw.
var<workgroup> largest: array<u32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let token = linear_workgroup(id, size);
    if token >= params.tokens {
        return;
    }
    var bits = vec4<u32>(0u);
    for (var i = t; i < params.vectors; i += 256u) {
        bits = max(bits, bitcast<vec4<u32>>(x[token * params.vectors + i]) & vec4<u32>(0x7fffffffu));
    }
    largest[t] = max(max(bits.x, bits.y), max(bits.z, bits.w));
    workgroupBarrier();
    // Sixteen by every invocation, then all sixteen of those by every invocation again: two barriers instead of eight.
    var most = 0u;
    for (var i = 0u; i < 16u; i++) {
        most = max(most, largest[(t % 16u) * 16u + i]);
    }
    workgroupBarrier();
    largest[t] = most;
    workgroupBarrier();
    for (var i = 0u; i < 16u; i++) {
        most = max(most, largest[i]);
    }
    let finite = most < 0x7f800000u;
    let kept = finite && bitcast<f32>(most) >= 1e-30;
    let exponent = select(141u, most >> 23u, kept);
    // 2^(141 - exponent) and its inverse.
    let factor = bitcast<f32>((268u - exponent) << 23u);
    let scale = bitcast<f32>((exponent - 14u) << 23u);
    for (var i = t; i < params.row; i += 256u) {
        let inside = kept && i < params.vectors;
        let values = x[token * params.vectors + min(i, params.vectors - 1u)];
        halves[token * params.row + i] = vec4<f16>(select(vec4<f32>(0.0), values, inside) * factor);
    }
    if t == 0u {
        scales[token] = bitcast<f32>(select(0x7fc00000u, bitcast<u32>(scale), finite));
    }
}
