// Products of two quantised matrices, gate and up, with the activations of a few tokens, and the codes of
// activation(gate) * up: what two of matmul/matvec and ops/gated_codes do one after the other. Codes of the input are of 8
// bits.
//
// weights, up: rows of params.row_words words, in the layout of turbo_gpu::weights; rows and params.first_row are
//   multiples of 32
// codes, heads: as matmul/matvec reads them
// next_codes, next_heads: as matmul/matvec reads them, of params.out_row values of every token; a finer plane
//   params.next_fine_plane vectors behind
// grid: a workgroup of LANES invocations for every SHARED of 32 rows, per (TOKENS tokens, 32 rows), rows fastest
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/matvec_gated.rs

#define MATRICES 2
#define ROWS 32
#import end_codes
#import fused_params
#import gate
#import grid
#import lane_parts
#import pair_sums
#import weight_unit

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> up: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> heads: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> next_codes: array<u32>;
@group(0) @binding(5) var<storage, read_write> next_heads: array<vec4<f32>>;
#params FusedParams

@compute @workgroup_size(LANES * 32 / SHARED)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let row_groups = params.rows / 32u;
    let first_token = (workgroup / row_groups) * TOKENS;
    if first_token >= params.tokens {
        return;
    }
    let first_row = (workgroup % row_groups) * 32u;
    let sums = collect(pair_sums(first_row + t / LANES * SHARED, first_token, t % LANES), t);
    let token = first_token + t / 32u;
    let stored = t < TOKENS * 32u && token < params.tokens;
    var value = 0.0;
    if stored {
        let products = vec2<f32>(sums.sums[0], sums.sums[1]) * sums.factor;
        value = activated(vec4<f32>(products.x)).x * products.y;
    }
    let place = params.first_row + first_row + t % 32u;
    end_codes(value, 0.0, (min(token, params.tokens - 1u) * params.out_row + place) / 32u, stored, t);
}
