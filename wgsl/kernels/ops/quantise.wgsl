// Activations as integer codes for products with quantised weights; see shared/activation_codes.wgsl.
//
// x: units of 32 f32
// codes, heads: as matmul/matvec reads them
// grid: 64 invocations per workgroup, one for each unit
// class: Bounded
// twin: crates/turbo-cpu/src/ops/quantise.rs

#import activation_codes
#import grid

struct QuantiseParams {
    units: u32,
    fine_plane: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> heads: array<vec4<f32>>;
#params QuantiseParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let unit = linear_workgroup(id, size) * 64u + t;
    if unit >= params.units {
        return;
    }
    var values: array<vec4<f32>, 8>;
#repeat I 8
    values[I] = x[unit * 8u + I];
#end
    store_codes(values, unit);
}
