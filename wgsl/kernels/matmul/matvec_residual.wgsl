// Products of quantised weights with the activations of a few tokens, added to the residual stream, and the codes of what
// comes out times the weight of the norm that follows: what matmul/matvec and ops/norm_codes do one after the other.
//
// weights: rows of params.row_words words, in the layout of turbo_gpu::weights; rows and params.first_row are multiples
//   of 32
// codes, heads: as matmul/matvec reads them
// weight: params.out_row factors of the norm
// x: params.out_row values of every token
// next_codes, next_heads: as matmul/matvec reads them; a finer plane params.next_fine_plane vectors behind
// grid: a workgroup of LANES invocations for every SHARED of 32 rows, per (TOKENS tokens, 32 rows), rows fastest
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/matvec_residual.rs

#define MATRICES 1
#define ROWS 32
#import end_codes
#import fused_params
#import grid
#import lane_parts
#import row_sums_any
#import weight_unit

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> heads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> next_codes: array<u32>;
@group(0) @binding(6) var<storage, read_write> next_heads: array<vec4<f32>>;
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
    let token = first_token + t / 32u;
    let stored = t < TOKENS * 32u && token < params.tokens;
    let place = params.first_row + first_row + t % 32u;
    let at = min(token, params.tokens - 1u) * params.out_row + place;
    // Read before the sums, so that nothing waits for it behind them.
    var value = 0.0;
    var factor = 0.0;
    if stored {
        value = x[at];
        factor = weight[place];
    }
    let row = first_row + t / LANES * SHARED;
    let sums = collect(row_sums_any(row, params.rows - 1u, first_token, t % LANES), t);
    if stored {
        value += sums.sums[0] * sums.factor;
        x[at] = value;
    }
    end_codes(value * factor, value * value, at / 32u, stored, t);
}
