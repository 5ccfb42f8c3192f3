// Integer codes of x / sqrt(mean(x^2) + eps) * weight for rows of params.cols values: what ops/rms_norm and ops/quantise
// do one after the other.
//
// x: params.runs rows
// weight: params.cols factors
// codes, heads: as matmul/matvec reads them
// grid: a workgroup of 256 invocations per row
// class: Bounded
// twin: crates/turbo-cpu/src/ops/norm_codes.rs

#import activation_codes
#import grid
#import run_factor LANES=256

struct NormCodesParams {
    runs: u32,
    cols: u32,
    eps: f32,
    fine_plane: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> codes: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> heads: array<vec4<f32>>;
#params NormCodesParams

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let run = linear_workgroup(id, size);
    let at = min(run, params.runs - 1u) * params.cols;
    let factor = run_factor(at, t);
    if run >= params.runs {
        return;
    }
    let units = params.cols / 32u;
    for (var unit = t; unit < units; unit += 256u) {
        var values: array<vec4<f32>, 8>;
#repeat I 8
        {
            let i = unit * 32u + 4u * I;
            let row = vec4<f32>(x[at + i], x[at + i + 1u], x[at + i + 2u], x[at + i + 3u]);
            values[I] = row * factor * vec4<f32>(weight[i], weight[i + 1u], weight[i + 2u], weight[i + 3u]);
        }
#end
        store_codes(values, run * units + unit);
    }
}
