// Rows of a quantised embedding table: out[i] = table[tokens[i]] * params.scale.
//
// weights: rows of params.row_words words, in the layout of turbo_gpu::weights; of them the ones from params.first_row on
// tokens: params.tokens token ids, or places in chosen with the highest bit set; of rows that are not here nothing is written
// chosen: token ids
// out: params.tokens rows of params.units * 32 values
// grid: 64 invocations per workgroup, one for each unit of 32 values of each token
// class: Bounded
// twin: crates/turbo-cpu/src/ops/embed.rs

#import grid
#import token_at
#import weight_unit

struct EmbedParams {
    row_words: u32,
    high_plane: u32,
    scales: u32,
    units: u32,
    tokens: u32,
    first_row: u32,
    rows: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;
@group(0) @binding(2) var<storage, read> chosen: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;
#params EmbedParams

// Bytes of a word as values.
fn byte_values(word: u32) -> vec4<f32> {
    let bytes = vec4<i32>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
#ifdef OFFSET
    return vec4<f32>(bytes - OFFSET);
#else
    return vec4<f32>(bytes);
#endif
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    let token = i / params.units;
    if token >= params.tokens {
        return;
    }
    let row = token_at(token) - params.first_row;
    if row >= params.rows {
        return;
    }
    let u = weight_unit(row * params.row_words, i % params.units);
    let factor = u.scale * params.scale;
    let below = u.minimum * params.scale;
#repeat J 4
    out[i * 8u + J] = byte_values(u.first[J]) * factor.x - below.x;
#end
#ifdef HALVES
#repeat J 4
    out[i * 8u + 4u + J] = byte_values(u.second[J]) * factor.y - below.y;
#end
#else
#repeat J 4
    out[i * 8u + 4u + J] = byte_values(u.second[J]) * factor.x - below.x;
#end
#endif
}
