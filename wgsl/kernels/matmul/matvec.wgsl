// Products of quantised weights with the activations of a few tokens: out[token][row] = weights[row] . x[token], plus a
// bias, plus what out holds already. Integer products of 32 columns, scaled and added in f32. Where the codes are of
// values whose norm is still to be divided by (params.normed = 1, ops/norm_codes), the sum is multiplied with its factor.
//
// weights: rows of params.row_words words, in the layout of turbo_gpu::weights
// codes: i8 codes of x, per token and 32 columns two vectors; a finer second plane params.fine_plane vectors behind
// heads: per token and 32 columns: scale, sums of the codes of the first and of the last 16 columns, sum of squares
// bias: a value per row of the matrix (params.bias = 1), else not read
// out: params.out_row values from token to token
// grid: a workgroup of LANES invocations for every SHARED of ROWS rows, per (TOKENS tokens, ROWS rows), rows fastest
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/matvec.rs

#define MATRICES 1
#import grid
#import lane_parts
#import product_params
#import row_sums_any
#import store_sum
#import weight_unit

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> heads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
#params ProductParams

@compute @workgroup_size(LANES * ROWS / SHARED)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let row_groups = (params.rows + ROWS - 1u) / ROWS;
    let first_token = (workgroup / row_groups) * TOKENS;
    if first_token >= params.tokens {
        return;
    }
    let first_row = (workgroup % row_groups) * ROWS;
    let row = first_row + t / LANES * SHARED;
    let sums = collect(row_sums_any(row, params.rows - 1u, first_token, t % LANES), t);
    let token = first_token + t / ROWS;
    let stored = first_row + t % ROWS;
    if t < TOKENS * ROWS && token < params.tokens && stored < params.rows {
        store_sum(sums.sums[0] * sums.factor, token, stored);
    }
}
