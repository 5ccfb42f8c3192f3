// Rotates groups of N values: y = S2 H S1 x / sqrt(N), or the inverse S1 H S2 x / sqrt(N). docs/exact-attention.md, sections 2 and 3.
//
// A head of d values has groups of several sizes (80 = 64 + 16); one dispatch does those of one size.
// A group with an inf or nan becomes all 0x7fc00000.
//
// x: heads x head_stride vectors of four f32, head_stride = d / 4
// y: the same; only the groups named by the params are written
// grid: 64 invocations per workgroup; an invocation does a group, with SUBGROUP a quarter of N / 4 lanes does
// class: Exact
// twin: crates/turbo-cpu/src/kv/rotate.rs

#import float_bits
#import grid
#ifdef SUBGROUP
#import rotate_lanes
#else
#import rotate_group
#endif

struct RotateParams {
    zero: u32,
    inverse: u32,
    groups: u32,
    groups_per_head: u32,
    head_stride: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
#params RotateParams

const NAN = vec4<u32>(0x7fc00000u);
#if N == 128
const INV_SQRT = 0x1.6a09e6p-4f;
#endif
#if N == 64
const INV_SQRT = 0.125f;
#endif
#if N == 32
const INV_SQRT = 0x1.6a09e6p-3f;
#endif
#if N == 16
const INV_SQRT = 0.25f;
#endif

// First vector of a group.
fn start(group: u32) -> u32 {
    let head = group / params.groups_per_head;
    return head * params.head_stride + params.first + (group % params.groups_per_head) * (N / 4);
}

// The result of a group whose largest exponent field was `field`.
fn finish(v: vec4<f32>, field: u32) -> vec4<f32> {
    let scaled = scale_pow2_4(v * INV_SQRT, i32(field) - 127);
    return bitcast<vec4<f32>>(select(bitcast<vec4<u32>>(scaled), NAN, vec4<bool>(field == 255u)));
}

#ifdef SUBGROUP

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let quad = linear_workgroup(id, size) * 64u + subgroup * subgroup_size + lane;
    let group = quad / (N / 4);
    let inside = group < params.groups;
    let at = start(select(0u, group, inside)) + quad % (N / 4);
    let value = x[at];
    let field = max_lanes(max_field4(value));
    let first = select(SIGNS_1, SIGNS_2, params.inverse != 0u);
    let second = select(SIGNS_2, SIGNS_1, params.inverse != 0u);
    let rotated = rotate_lanes(normalise4(value, field), quad % (N / 4), first, second);
    if inside {
        y[at] = finish(rotated, field);
    }
}

#else

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = linear_workgroup(id, size) * 64u + local;
    if group >= params.groups {
        return;
    }
    let at = start(group);
    var values: array<vec4<f32>, N / 4>;
    var field = 0u;
#repeat Q N / 4
    values[Q] = x[at + Q];
    field = max(field, max_field4(values[Q]));
#end
#repeat Q N / 4
    values[Q] = normalise4(values[Q], field);
#end
    let first = select(SIGNS_1, SIGNS_2, params.inverse != 0u);
    let second = select(SIGNS_2, SIGNS_1, params.inverse != 0u);
    rotate_group(&values, first, second);
#repeat Q N / 4
    y[at + Q] = finish(values[Q], field);
#end
}

#endif
