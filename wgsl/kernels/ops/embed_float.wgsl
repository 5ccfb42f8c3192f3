// Rows of a float embedding table: out[i] = table[tokens[i]] * params.scale.
//
// weights: rows of params.row_words words: f32, or two f16 or bf16 to a word; of them the ones from params.first_row on
// tokens: params.tokens token ids, or places in chosen with the highest bit set; of rows that are not here nothing is written
// chosen: token ids
// out: params.tokens rows of params.cols values
// grid: 64 invocations per workgroup, one for each two values of each token
// class: Bounded
// twin: crates/turbo-cpu/src/ops/embed_float.rs

#import float_pair
#import grid
#import token_at

struct EmbedFloatParams {
    row_words: u32,
    cols: u32,
    tokens: u32,
    first_row: u32,
    rows: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<u32>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> chosen: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec2<f32>>;
#params EmbedFloatParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    let pairs = params.cols / 2u;
    let token = i / pairs;
    if token >= params.tokens {
        return;
    }
    let row = token_at(token) - params.first_row;
    if row >= params.rows {
        return;
    }
    let place = i % pairs;
#if FLOAT == 0
    let at = row * params.row_words + 2u * place;
    let values = vec2<f32>(bitcast<f32>(weights[at]), bitcast<f32>(weights[at + 1u]));
#else
    let values = float_pair(weights[row * params.row_words + place]);
#endif
    out[i] = values * params.scale;
}
