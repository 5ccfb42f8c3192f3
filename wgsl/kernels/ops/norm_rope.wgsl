// Heads in place: x / sqrt(mean(x^2) + eps) * weight, then rotated by the token's angles; what ops/rms_norm_in_place and
// ops/rope do one after the other.
//
// factors: per token params.pairs cosines, then as many sines
// weight: params.cols factors
// x: heads of params.cols values, params.heads to a token
// grid: 32 of the 256 invocations of a workgroup for each head
// class: Bounded
// twin: crates/turbo-cpu/src/ops/norm_rope.rs

#import grid
#ifndef SUBGROUP
#import run_factor LANES=32
#endif

struct NormRopeParams {
    runs: u32,
    cols: u32,
    eps: f32,
    heads: u32,
    pairs: u32,
    neox: u32,
}

@group(0) @binding(0) var<storage, read> factors: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
#params NormRopeParams

#ifdef SUBGROUP
// The factor of the head that starts at value `at`; 32 neighbouring lanes have it.
fn run_factor(at: u32, t: u32) -> f32 {
    var square = 0.0;
    for (var i = t % 32u; i < params.cols; i += 32u) {
        square += x[at + i] * x[at + i];
    }
#repeat S 5
    square += subgroupShuffleXor(square, 1u << S);
#end
    return 1.0 / sqrt(square / f32(params.cols) + params.eps);
}
#endif

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
#ifdef SUBGROUP
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let t = subgroup * subgroup_size + lane;
#else
    @builtin(local_invocation_index) t: u32,
) {
#endif
    let run = linear_workgroup(id, size) * 8u + t / 32u;
    let at = min(run, params.runs - 1u) * params.cols;
    let factor = run_factor(at, t);
    if run >= params.runs {
        return;
    }
    let angles = (run / params.heads) * 2u * params.pairs;
    for (var pair = t % 32u; pair < params.pairs; pair += 32u) {
        let first = select(2u * pair, pair, params.neox != 0u);
        let second = select(first + 1u, first + params.pairs, params.neox != 0u);
        let a = x[at + first] * factor * weight[first];
        let b = x[at + second] * factor * weight[second];
        let c = factors[angles + pair];
        let s = factors[angles + params.pairs + pair];
        x[at + first] = a * c - b * s;
        x[at + second] = a * s + b * c;
    }
    for (var i = 2u * params.pairs + t % 32u; i < params.cols; i += 32u) {
        x[at + i] = x[at + i] * factor * weight[i];
    }
}
