// x = cap * tanh(x / cap), value by value.
//
// x: params.values values
// grid: 64 invocations per workgroup, one for each value
// class: Bounded
// twin: crates/turbo-cpu/src/ops/soft_cap.rs

#import exp_tanh
#import grid

struct SoftCapParams {
    values: u32,
    cap: f32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
#params SoftCapParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    if i < params.values {
        x[i] = params.cap * tanh_finite(vec4<f32>(x[i] / params.cap)).x;
    }
}
