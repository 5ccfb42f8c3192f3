// Products of float weights with the activations of a few tokens: out[token][row] = weights[row] . x[token], plus a bias,
// plus what out holds already, in f32.
//
// weights: rows of params.row_words words: f32, or two f16 or bf16 to a word
// x: per token params.x_row vectors of four f32, zeros behind the last column of the matrix
// bias: a value per row of the matrix (params.bias = 1), else not read
// out: params.out_row values from token to token
// grid: a workgroup of 128 invocations, 32 for each of 4 rows, per (TOKENS tokens, 4 rows), rows fastest
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/matvec_float.rs

#import float_pair
#import float_product_params
#import grid
#import matvec_end

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#params FloatProductParams

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
    let base = row * (params.row_words / 4u);
    var sums: array<f32, TOKENS>;
    for (var i = t % 32u; i < params.row_words / 4u; i += 32u) {
        let w = weights[base + i];
#if FLOAT == 0
        let values = bitcast<vec4<f32>>(w);
#repeat N TOKENS
        sums[N] += dot(values, x[min(first_token + N, params.tokens - 1u) * params.x_row + i]);
#end
#else
        let low = vec4<f32>(float_pair(w.x), float_pair(w.y));
        let high = vec4<f32>(float_pair(w.z), float_pair(w.w));
#repeat N TOKENS
        {
            let at = min(first_token + N, params.tokens - 1u) * params.x_row + 2u * i;
            sums[N] += dot(low, x[at]) + dot(high, x[at + 1u]);
        }
#end
#endif
    }
    store_rows(sums, first_token, first_row, t);
}
