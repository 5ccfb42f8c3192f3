// gate = activation(gate) * up, value by value; GELU the tanh form of GELU, else SiLU.
//
// up: params.values values
// gate: as many
// grid: 64 invocations per workgroup, one for each value
// class: Bounded
// twin: crates/turbo-cpu/src/ops/gated_act.rs

#import exp_tanh
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
    let x = gate[i];
#ifdef GELU
    let y = 0.5 * x * (1.0 + tanh_finite(0.7978846 * x * (1.0 + 0.044715 * x * x)));
#else
    let y = x / (1.0 + exp_finite(-x));
#endif
    gate[i] = y * up[i];
}
