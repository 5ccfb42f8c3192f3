// x = x * params.factor, value by value.
//
// x: params.values values
// grid: 64 invocations per workgroup, one for each value
// class: Bounded
// twin: crates/turbo-cpu/src/ops/scale.rs

#import grid

struct ScaleParams {
    values: u32,
    factor: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
#params ScaleParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    if i < params.values {
        x[i] = x[i] * params.factor;
    }
}
