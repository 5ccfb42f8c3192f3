// Products of up to three quantised matrices of one type, query, key and value projections, with the activations of a few
// tokens: what as many of matmul/matvec do, without a wait between them. Codes of the input are of 8 bits.
//
// weights, second, third: rows of params.row_words words, in the layout of turbo_gpu::weights
// codes, heads: as matmul/matvec reads them
// out, second_out, third_out: for every token as many values as the matrix has rows; one that is not there has none
// grid: a workgroup of LANES invocations for every SHARED of ROWS rows, per TOKENS tokens and ROWS rows of a matrix, rows fastest
// class: Bounded
// twin: crates/turbo-cpu/src/matmul/matvec_joined.rs

#define MATRICES 1
#import grid
#import joined_params
#import lane_parts
#import token_unit
#import weight_unit
#import row_sums
#import weight_words weights=second raw_unit=raw_unit_second weight_word=weight_word_second
#import row_sums raw_unit=raw_unit_second row_sums=row_sums_second
#import weight_words weights=third raw_unit=raw_unit_third weight_word=weight_word_third
#import row_sums raw_unit=raw_unit_third row_sums=row_sums_third

@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> second: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> third: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> heads: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> second_out: array<f32>;
@group(0) @binding(7) var<storage, read_write> third_out: array<f32>;
#params JoinedParams

@compute @workgroup_size(LANES * ROWS / SHARED)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let groups = (vec3<u32>(params.rows, params.second_rows, params.third_rows) + (ROWS - 1u)) / ROWS;
    let row_groups = groups.x + groups.y + groups.z;
    let first_token = (workgroup / row_groups) * TOKENS;
    if first_token >= params.tokens {
        return;
    }
    let group = workgroup % row_groups;
    var lane_sums: array<f32, (SHARED + 1) * TOKENS>;
    let lane_row = t / LANES * SHARED;
    var first_row = group * ROWS;
    var rows = params.rows;
    if group < groups.x {
        lane_sums = row_sums(first_row + lane_row, rows - 1u, first_token, t % LANES);
    } else if group < groups.x + groups.y {
        first_row -= groups.x * ROWS;
        rows = params.second_rows;
        lane_sums = row_sums_second(first_row + lane_row, rows - 1u, first_token, t % LANES);
    } else {
        first_row -= (groups.x + groups.y) * ROWS;
        rows = params.third_rows;
        lane_sums = row_sums_third(first_row + lane_row, rows - 1u, first_token, t % LANES);
    }
    let sums = collect(lane_sums, t);
    let token = first_token + t / ROWS;
    let row = first_row + t % ROWS;
    if t >= TOKENS * ROWS || token >= params.tokens || row >= rows {
        return;
    }
    let sum = sums.sums[0] * sums.factor;
    let at = token * rows + row;
    if group < groups.x {
        out[at] = sum;
    } else if group < groups.x + groups.y {
        second_out[at] = sum;
    } else {
        third_out[at] = sum;
    }
}
