// Integer codes of x / sqrt(mean(x^2) + eps) * weight for rows of params.cols values: what ops/rms_norm and ops/quantise
// do one after the other.
//
// x: params.runs rows
// weight: params.cols factors
// codes, heads: as matmul/matvec reads them
// grid: a workgroup of 256 invocations per row
// class: Bounded
// twin: crates/turbo-cpu/src/ops/norm_codes.rs

#import grid
#ifdef SUBGROUP
#import activation_codes_lanes
#import run_factor_lanes
#else
#import activation_codes
#import run_factor LANES=256
#endif

struct NormCodesParams {
    runs: u32,
    cols: u32,
    eps: f32,
    fine_plane: u32,
}

#ifdef SUBGROUP
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
#else
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> codes: array<vec4<u32>>;
#endif
@group(0) @binding(3) var<storage, read_write> heads: array<vec4<f32>>;
#params NormCodesParams

#ifdef SUBGROUP

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let t = subgroup * subgroup_size + lane;
    let run = linear_workgroup(id, size);
    let quads = params.cols / 4u;
    let at = min(run, params.runs - 1u) * quads;
    let factor = run_factor(at, t, subgroup, subgroup_size, lane);
    for (var first = 0u; first < quads; first += 256u) {
        let present = run < params.runs && first + t < quads;
        let i = select(0u, first + t, present);
        store_codes_lanes(x[at + i] * factor * weight[i], run * quads + i, present);
    }
}

#else

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

#endif
