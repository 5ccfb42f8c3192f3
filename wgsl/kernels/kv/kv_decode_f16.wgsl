// f16 heads of the cache back to f32 values.
//
// slots: for every token 64 * block + place in the block; those of blocks not in this pool are left out
// pool: blocks of turbo_backend::SideLayout
// y: rows of heads, `row` vectors of two f32 from one token to the next
// grid: 64 invocations per workgroup, one for every two values of tokens * heads
// class: Exact
// twin: crates/turbo-cpu/src/kv/kv_decode_f16.rs

#import f16_bits
#import grid
#import kv_decode_params
#import kv_job SIDES=1

@group(0) @binding(0) var<storage, read> slots: array<u32>;
@group(0) @binding(1) var<storage, read> pool: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec2<f32>>;
#params KvDecodeParams

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let words = params.head_dim / 2u;
    let index = linear_workgroup(id, size) * 64u + local;
    let job = job_of(index / words, BLOCK * words);
    if job.inside {
        let i = index % words;
        let word = pool[job.unit + job.place * words + i];
        let to = params.first + job.token * params.row + job.head * words + i;
        y[to] = vec2<f32>(f32_from_f16(word & 0xffffu), f32_from_f16(word >> 16u));
    }
}
