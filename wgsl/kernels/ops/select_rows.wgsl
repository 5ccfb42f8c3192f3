// Copies rows: out[i] = x[rows[i]].
//
// rows: params.rows indices
// x: rows of params.cols values
// out: params.rows such rows
// grid: 64 invocations per workgroup, one for each value
// class: Exact
// twin: crates/turbo-cpu/src/ops/select_rows.rs

#import grid

struct SelectRowsParams {
    zero: u32,
    rows: u32,
    cols: u32,
}

@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
#params SelectRowsParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    if i < params.rows * params.cols {
        out[i] = x[rows[i / params.cols] * params.cols + i % params.cols];
    }
}
