// Integer codes of activation(gate) * up: what ops/gated_act and ops/quantise do one after the other.
//
// gate, up: units of 32 values
// codes, heads: as matmul/matvec reads them
// grid: 64 invocations per workgroup, one for each unit; with SUBGROUP eight for each
// class: Bounded
// twin: crates/turbo-cpu/src/ops/gated_codes.rs

#ifdef SUBGROUP
#import activation_codes_lanes
#else
#import activation_codes
#endif
#import gate
#import grid

struct GatedCodesParams {
    units: u32,
    fine_plane: u32,
}

@group(0) @binding(0) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> up: array<vec4<f32>>;
#ifdef SUBGROUP
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
#else
@group(0) @binding(2) var<storage, read_write> codes: array<vec4<u32>>;
#endif
@group(0) @binding(3) var<storage, read_write> heads: array<vec4<f32>>;
#params GatedCodesParams

#ifdef SUBGROUP

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let place = linear_workgroup(id, size) * 64u + subgroup * subgroup_size + lane;
    let present = place < params.units * 8u;
    let at = select(0u, place, present);
    store_codes_lanes(activated(gate[at]) * up[at], place, present);
}

#else

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

#endif
