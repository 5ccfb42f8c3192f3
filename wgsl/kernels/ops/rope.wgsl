// Rotates pairs of values of every head by its token's angles, in place: (a, b) becomes (a c - b s, a s + b c).
//
// factors: per token params.pairs cosines, then as many sines
// x: params.row values from token to token, the heads from its start on
// grid: 64 invocations per workgroup, one for each pair of each head of each token
// class: Bounded
// twin: crates/turbo-cpu/src/ops/rope.rs

#import grid

struct RopeParams {
    tokens: u32,
    heads: u32,
    head_dim: u32,
    pairs: u32,
    row: u32,
    neox: u32,
}

@group(0) @binding(0) var<storage, read> factors: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
#params RopeParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    let pair = i % params.pairs;
    let head = (i / params.pairs) % params.heads;
    let token = i / (params.pairs * params.heads);
    if token >= params.tokens {
        return;
    }
    let c = factors[token * 2u * params.pairs + pair];
    let s = factors[token * 2u * params.pairs + params.pairs + pair];
    let at = token * params.row + head * params.head_dim;
    let first = at + select(2u * pair, pair, params.neox != 0u);
    let second = select(first + 1u, first + params.pairs, params.neox != 0u);
    let a = x[first];
    let b = x[second];
    x[first] = a * c - b * s;
    x[second] = a * s + b * c;
}
