// Query heads for attention over coded K: rotated, rounded to integers, with a factor per scale block of K.
// docs/exact-attention.md, section 5.
//
// query: rows (token by token, head by head) of head_dim_k f32, after rope
// codes: per row head_dim_k i8, four to a word; for q8_0 K two such planes, value = 255 * first + second
// mults: per row and scale block of K
// faults: 1 is written for a row with an inf or nan, whose codes are 0
// grid: a workgroup of 64 invocations per row
// class: Exact
// twin: crates/turbo-cpu/src/attention/query_codes.rs

#import attention_job
#import grid
#import rotate_head THREADS=64u MAX_HEAD=1024
#import scale_block

@group(0) @binding(0) var<storage, read> query: array<f32>;
@group(0) @binding(1) var<storage, read_write> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> mults: array<f32>;
@group(0) @binding(3) var<storage, read_write> faults: array<u32>;
#params AttentionParams

var<workgroup> top_field: atomic<u32>;
var<workgroup> largest: atomic<u32>;

#if K_TYPE == 0
const WIDER = 8;
#else
const WIDER = 0;
#endif
#if K_TYPE == 2
const SHIFTS = vec4<i32>(8, 9, 9, 10);
#else
const SHIFTS = vec4<i32>(8, 8, 8, 9);
#endif

// Four integers as bytes.
fn bytes(q: vec4<i32>) -> u32 {
    let b = bitcast<vec4<u32>>(q) & vec4<u32>(0xffu);
    return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let d = params.head_dim_k;
    if t == 0u {
        atomicStore(&top_field, 0u);
        atomicStore(&largest, 0u);
    }
    for (var i = t; i < d; i += 64u) {
        head[i] = query[row * d + i];
    }
    rotate_head(d, SIGNS_1, SIGNS_2, t);
    for (var i = t; i < d / 16u; i += 64u) {
        atomicMax(&top_field, atomicLoad(&fields[i]));
    }
    workgroupBarrier();
    let field = atomicLoad(&top_field);
    for (var i = t; i < d; i += 64u) {
        let n = group_at(i, d);
        let y = scale_pow2(head[i] * inverse_root(n), i32(field_at(i, n)) - i32(field));
        let kept = select(y, 0.0, field == 255u);
        head[i] = kept;
        atomicMax(&largest, bitcast<u32>(kept) & 0x7fffffffu);
    }
    workgroupBarrier();
    let a = atomicLoad(&largest);
    let e = i32(a >> 23u) - 127;
    let m16 = max(((a & 0x7fffffu) | 0x800000u) + 255u, 1u) >> 8u;
    let inverse = (127u << 24u) / m16;
    let words = d / 4u;
#if K_TYPE == 0
    let plane = row * words * 2u;
#else
    let plane = row * words;
#endif
    for (var i = t; i < words; i += 64u) {
        let y = vec4<f32>(head[4u * i], head[4u * i + 1u], head[4u * i + 2u], head[4u * i + 3u]);
        let scaled = scale_pow2_4(y * f32(i32(inverse)), WIDER - e - 9);
        let q = vec4<i32>(round(select(scaled, vec4<f32>(0.0), vec4<bool>(a == 0u))));
#if K_TYPE == 0
        let high = bitcast<vec4<i32>>(bitcast<vec4<u32>>(q + 32767) / vec4<u32>(255u)) - 128;
        codes[plane + i] = bytes(high);
        codes[plane + words + i] = bytes(q - 255 * high);
#else
        codes[plane + i] = bytes(q);
#endif
    }
    let whole = 0x80000000u / inverse;
    let rest = 0x80000000u % inverse;
    let recip = i32((whole << 14u) + (rest << 14u) / inverse);
    let exponent = e + 9 + i32(field) - 127 - 45 - WIDER;
    for (var block = t; block < params.k_blocks; block += 64u) {
#ifdef TURBO
        // A head has few groups: the block's size follows from where it starts.
        let whole_groups = d / 128u;
        var first = block * 128u;
        if block > whole_groups {
            first = whole_groups * 128u;
            for (var b = whole_groups; b < block; b++) {
                first += group_at(first, d);
            }
        }
        let shift = SHIFTS[countTrailingZeros(group_at(first, d)) - 4u];
#else
        let shift = 0;
#endif
        let mult = scale_pow2(f32(recip) * params.score_factor, exponent + 16 - shift);
        mults[row * params.k_blocks + block] = select(mult, 0.0, a == 0u);
    }
    if t == 0u && field == 255u {
        faults[row] = 1u;
    }
}
