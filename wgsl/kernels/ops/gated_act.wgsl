// gate = activation(gate) * up, value by value; GELU the tanh form of GELU, else SiLU.
//
// up: params.values values
// gate: as many
// grid: 64 invocations per workgroup, one for each value
// class: Bounded
// twin: crates/turbo-cpu/src/ops/gated_act.rs

#import gate
#import grid

struct GatedActParams {
    values: u32,
}

@group(0) @binding(0) var<storage, read> up: array<f32>;
@group(0) @binding(1) var<storage, read_write> gate: array<f32>;
#params GatedActParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    if i >= params.values {
        return;
    }
    gate[i] = activated(vec4<f32>(gate[i])).x * up[i];
}
