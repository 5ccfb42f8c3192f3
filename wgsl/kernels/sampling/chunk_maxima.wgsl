// The largest logit of every 32: where the largest of a row are to be looked for.
//
// logits: rows of params.n_vocab values; those from params.first_row on are looked at
// maxima: per row params.chunks keys (shared/logit_keys.wgsl), of 32 logits each; the last chunk may have fewer
// grid: 64 invocations per workgroup, one for each chunk of each row
// class: Exact
// twin: crates/turbo-cpu/src/sampling/chunk_maxima.rs

#import grid
#import logit_keys

struct ChunkMaximaParams {
    zero: u32,
    rows: u32,
    first_row: u32,
    n_vocab: u32,
    chunks: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<u32>;
@group(0) @binding(1) var<storage, read_write> maxima: array<u32>;
#params ChunkMaximaParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(id, size) * 64u + t;
    let row = i / params.chunks;
    if row >= params.rows {
        return;
    }
    let first = (i % params.chunks) * 32u;
    let base = (params.first_row + row) * params.n_vocab;
    var largest = 0u;
#repeat J 32
    largest = max(largest, logit_key(logits[base + min(first + J, params.n_vocab - 1u)]));
#end
    maxima[i] = largest;
}
