// Products of quantised weights with the activations of a few tokens: out[token][row] = weights[row] . x[token], plus a
// bias, plus what out holds already. Integer products of 32 columns, scaled and added in f32.
//
// weights: rows of params.row_words words, in the layout of turbo_gpu::weights
// codes: i8 codes of x, per token and 32 columns two vectors; a finer second plane params.fine_plane vectors behind
// heads: per token and 32 columns: scale, sums of the codes of the first and of the last 16 columns
// bias: a value per row of the matrix (params.bias = 1), else not read
// out: params.out_row values from token to token
// grid: a workgroup of 128 invocations, 32 for each of 4 rows, per (TOKENS tokens, 4 rows), rows fastest
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/matvec.rs

#import grid
#import matvec_end
#import product_params
#import unit_dot
#import weight_unit

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> heads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
#params ProductParams

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let row_groups = (params.rows + 3u) / 4u;
    let first_token = (workgroup / row_groups) * TOKENS;
    if first_token >= params.tokens {
        return;
    }
    let first_row = (workgroup % row_groups) * 4u;
    let row = min(first_row + t / 32u, params.rows - 1u);
    let base = row * params.row_words;
    var sums: array<f32, TOKENS>;
    for (var unit = t % 32u; unit < params.units; unit += 32u) {
        let u = weight_unit(base, unit);
#repeat N TOKENS
        sums[N] += unit_dot(u, min(first_token + N, params.tokens - 1u) * params.units + unit);
#end
    }
    store_rows(sums, first_token, first_row, t);
}
