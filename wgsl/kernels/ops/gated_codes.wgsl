// Integer codes of activation(gate) * up: what ops/gated_act and ops/quantise do one after the other.
//
// gate, up: units of 32 values
// codes, heads: as matmul/matvec reads them
// grid: 64 invocations per workgroup, one for each unit
// class: Bounded
// twin: crates/turbo-cpu/src/ops/gated_codes.rs

#import activation_codes
#import gate
#import grid

struct GatedCodesParams {
    units: u32,
    fine_plane: u32,
}

@group(0) @binding(0) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> codes: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> heads: array<vec4<f32>>;
#params GatedCodesParams

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
    values[I] = activated(gate[unit * 8u + I]) * up[unit * 8u + I];
#end
    store_codes(values, unit);
}
