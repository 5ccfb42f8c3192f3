// x = x * params.own + y * params.other, value by value.
//
// y: params.values values
// x: as many
// grid: 64 invocations per workgroup, one for each value
// class: Bounded
// twin: crates/turbo-cpu/src/ops/add_scaled.rs

#import grid

struct AddScaledParams {
    values: u32,
    own: f32,
    other: f32,
}

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
#params AddScaledParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    if i < params.values {
        x[i] = x[i] * params.own + y[i] * params.other;
    }
}
