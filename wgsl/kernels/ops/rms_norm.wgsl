// out = x / sqrt(mean(x^2) + eps) * weight over every run of params.cols values.
//
// x: params.runs runs
// weight: params.cols factors
// out: as x; may not be the same buffer
// grid: LANES of the 256 invocations of a workgroup for each run
// class: Bounded
// twin: crates/turbo-cpu/src/ops/rms_norm.rs

#import grid
#import run_factor

struct RmsNormParams {
    runs: u32,
    cols: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
#params RmsNormParams

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let run = linear_workgroup(id, size) * (256u / LANES) + t / LANES;
    let at = min(run, params.runs - 1u) * params.cols;
    let factor = run_factor(at, t);
    if run < params.runs {
        for (var i = t % LANES; i < params.cols; i += LANES) {
            out[at + i] = x[at + i] * factor * weight[i];
        }
    }
}
