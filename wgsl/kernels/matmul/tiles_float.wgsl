// Products of float weights with the activations of many tokens: out[token][row] = weights[row] . x[token], plus a bias,
// plus what out holds already, in f32.
//
// weights: rows of params.row_words words: f32, or two f16 or bf16 to a word
// x: per token params.x_row vectors of four f32
// bias: a value per row of the matrix (params.bias = 1), else not read
// out: params.out_row values from token to token
// grid: a workgroup of 256 invocations per (64 tokens, 64 rows), tokens fastest; each does 4 tokens of 4 rows
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/tiles_float.rs

#import float_pair
#import float_product_params
#import grid
#import store_tile

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#params FloatProductParams

// 16 columns of every row and of every token of the tile; a vector between them keeps them off each other's banks.
var<workgroup> row_values: array<vec4<f32>, 320>;
var<workgroup> token_values: array<vec4<f32>, 320>;

// Vector `i` of the row that starts at vector `base`.
fn row_vector(base: u32, i: u32) -> vec4<f32> {
#if FLOAT == 0
    return bitcast<vec4<f32>>(weights[base + i]);
#else
    let both = weights[base + i / 2u];
    let words = select(both.xy, both.zw, (i & 1u) != 0u);
    return vec4<f32>(float_pair(words.x), float_pair(words.y));
#endif
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let token_tiles = (params.tokens + 63u) / 64u;
    let first_token = (workgroup % token_tiles) * 64u;
    let first_row = (workgroup / token_tiles) * 64u;
    if first_row >= params.rows {
        return;
    }
    let base = min(first_row + t / 4u, params.rows - 1u) * (params.row_words / 4u);
    let token_base = min(first_token + t / 4u, params.tokens - 1u) * params.x_row;
    let place = (t / 4u) * 5u + t % 4u;
    var sums: array<f32, 16>;
    for (var first = 0u; first < params.x_row; first += 4u) {
        let i = first + t % 4u;
        let known = i < params.x_row;
        let kept = min(i, params.x_row - 1u);
        row_values[place] = select(vec4<f32>(0.0), row_vector(base, kept), known);
        token_values[place] = select(vec4<f32>(0.0), x[token_base + kept], known);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k++) {
            var w: array<vec4<f32>, 4>;
#repeat I 4
            w[I] = row_values[(t % 16u + 16u * I) * 5u + k];
#end
#repeat J 4
            {
                let v = token_values[(t / 16u + 16u * J) * 5u + k];
#repeat I 4
                sums[4 * J + I] += dot(w[I], v);
#end
            }
#end
        }
        workgroupBarrier();
    }
    store_tile(sums, first_token, first_row, t);
}
