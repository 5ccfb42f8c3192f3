// Chooses a token for every row: of its top_k largest logits those that top_p and min_p keep, one by its share.
//
// logits: rows of params.n_vocab values; those from params.first_row on are chosen from
// maxima: what sampling/chunk_maxima finds in these rows
// choices: per row two vectors: place in chosen, top_k (1 to 256), share of the draw, top_p as a share;
//     least weight (min_p, Q23), bits of log2(e) / temperature * 65536, 0, 0. Shares are in 1 / 2^32, 2^32 - 1 is all.
// candidates: scratch, params.room keys and ids per row: 64 times the largest top_k
// chosen: token ids; 2^32 - 1 where no logit of a row is a number
// grid: a workgroup of 256 invocations per row
// class: Exact. Weights are 2^x in integers (shared/exp2_exact.wgsl), of equal logits the lower id comes first.
// twin: crates/turbo-cpu/src/sampling/choose.rs

#import exp2_exact
#import logit_keys
#import opaque

struct ChooseParams {
    zero: u32,
    first_row: u32,
    n_vocab: u32,
    chunks: u32,
    room: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<u32>;
@group(0) @binding(1) var<storage, read> maxima: array<u32>;
@group(0) @binding(2) var<storage, read> choices: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> candidates: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> chosen: array<u32>;
#params ChooseParams

#import largest_candidates
#import candidate_draw

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let row = id.x;
    let choice = choices[2u * row];
    let more = choices[2u * row + 1u];
    collect_candidates(row, choice.y, t);
    let kept = sort_candidates(row, choice.y, t);
    weigh(kept, bitcast<f32>(more.y), t);
    if t == 0u {
        chosen[choice.x] = draw(kept, choice.z, choice.w, more.x);
    }
}
