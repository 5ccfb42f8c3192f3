// out = x / sqrt(mean(x^2) + eps) * weight over every run of params.cols values.
//
// x: params.runs runs
// weight: params.cols factors
// out: as x; may not be the same buffer
// grid: LANES of the 256 invocations of a workgroup for each run
// class: Bounded
// twin: crates/turbo-cpu/src/ops/rms_norm.rs

#import grid

struct RmsNormParams {
    runs: u32,
    cols: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
#params RmsNormParams

var<workgroup> squares: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let run = linear_workgroup(id, size) * (256u / LANES) + t / LANES;
    let lane = t % LANES;
    let at = min(run, params.runs - 1u) * params.cols;
    var square = 0.0;
    for (var i = lane; i < params.cols; i += LANES) {
        square += x[at + i] * x[at + i];
    }
    squares[t] = square;
    workgroupBarrier();
    if lane < 16u {
        var sum = 0.0;
        for (var i = lane; i < LANES; i += 16u) {
            sum += squares[t - lane + i];
        }
        squares[t] = sum;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < 16u; i++) {
        sum += squares[t - lane + i];
    }
    let factor = 1.0 / sqrt(sum / f32(params.cols) + params.eps);
    if run < params.runs {
        for (var i = lane; i < params.cols; i += LANES) {
            out[at + i] = x[at + i] * factor * weight[i];
        }
    }
}
