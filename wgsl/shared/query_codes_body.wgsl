// Queries as integers: everything but buffers; docs/exact-attention.md, section 5. The queries are as they lie in `query`,
// or, ROPED, normed and turned first.
//
// Words: K_TYPE, TURBO, SUBGROUP or THREADS, ROPED; HEAD_DIM, the values of a head, and for SUBGROUP SEGMENTS of 128 of them: what
// is known of a head makes the kernel shorter, and a device that has forgotten it between two layers reads it sooner.

#import grid
#import group_at
#ifdef ROPED
#import roped_quads SOURCE=query
#endif
#ifdef SUBGROUP
#import float_bits
#import rotate_quads
#else
#import rotate_head MAX_HEAD=1024
#endif

struct QueryCodesParams {
    zero: u32,
    rows: u32,
    head_dim: u32,
    k_blocks: u32,
    score_factor: f32,
    // Of the norm and the rotation.
    heads: u32,
    pairs: u32,
    turned: u32,
    neox: u32,
    normed: u32,
    eps: f32,
    first_token: u32,
}

#ifdef ROPED
// What all values of the row are multiplied with, found by `lanes` lanes that call it together.
fn head_factor(row: u32, lane: u32, lanes: u32) -> f32 {
    let quads = HEAD_DIM / 4u;
    var square = 0.0;
    for (var i = lane; i < quads; i += lanes) {
        let squares = query[row * quads + i] * query[row * quads + i];
        square += (squares.x + squares.y) + (squares.z + squares.w);
    }
#ifdef SUBGROUP
#repeat S 5
    square += subgroupShuffleXor(square, 1u << S);
#end
#endif
    return norm_factor(square, HEAD_DIM);
}

fn head_quad(row: u32, quad: u32, factor: f32) -> vec4<f32> {
    return turn_quad(read_quad(row * (HEAD_DIM / 4u), quad, row / params.heads), quad, factor);
}
#else
fn head_factor(row: u32, lane: u32, lanes: u32) -> f32 {
    return 1.0;
}

fn head_quad(row: u32, quad: u32, factor: f32) -> vec4<f32> {
    return query[row * (HEAD_DIM / 4u) + quad];
}
#endif

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

// How y becomes codes: y * inverse * 2^exponent; and the factor of a code, without those of a scale block.
struct Rounding {
    inverse: f32,
    exponent: i32,
    recip: f32,
    recip_exponent: i32,
    zero: bool,
}

// `largest`: f32 bits of the largest magnitude; `field`: exponent field of the frame of all values.
fn rounding_of(largest: u32, field: u32) -> Rounding {
    let e = i32(largest >> 23u) - 127;
    let m16 = max(((largest & 0x7fffffu) | 0x800000u) + 255u, 1u) >> 8u;
    let inverse = (127u << 24u) / m16;
    let whole = 0x80000000u / inverse;
    let rest = 0x80000000u % inverse;
    let recip = i32((whole << 14u) + (rest << 14u) / inverse);
    let recip_exponent = e + 9 + i32(field) - 127 - 45 - WIDER;
    return Rounding(f32(i32(inverse)), WIDER - e - 9, f32(recip), recip_exponent, largest == 0u);
}

// Writes the codes of values 4 `quad` .. of a row.
fn write_codes(y: vec4<f32>, by: Rounding, row: u32, quad: u32, quads: u32) {
    let scaled = scale_pow2_4(y * by.inverse, by.exponent);
    let q = vec4<i32>(round(select(scaled, vec4<f32>(0.0), vec4<bool>(by.zero))));
#if K_TYPE == 0
    let high = bitcast<vec4<i32>>(bitcast<vec4<u32>>(q + 32767) / vec4<u32>(255u)) - 128;
    codes[row * 2u * quads + quad] = bytes(high);
    codes[row * 2u * quads + quads + quad] = bytes(q - 255 * high);
#else
    codes[row * quads + quad] = bytes(q);
#endif
}

fn write_mult(by: Rounding, row: u32, block: u32, d: u32) {
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
    let mult = scale_pow2(by.recip * params.score_factor, by.recip_exponent + 16 - shift);
    mults[row * params.k_blocks + block] = select(mult, 0.0, by.zero);
}

#ifdef SUBGROUP
@compute @workgroup_size(32)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(subgroup_invocation_id) t: u32,
) {
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let d = HEAD_DIM;
    let quads = d / 4u;
    let factor = head_factor(row, t, 32u);
    // Lanes behind the head shuffle along with its last values.
    var y: array<vec4<f32>, SEGMENTS>;
    var fields: array<u32, SEGMENTS>;
    var top = 0u;
#repeat S SEGMENTS
    if 32u * S < quads {
        let quad = min(32u * S + t, quads - 1u);
        let n = group_at(4u * quad, d);
        let x = head_quad(row, quad, factor);
        fields[S] = max_of_group(max_field4(x), n);
        let rotated = rotate_quads(normalise4(x, fields[S]), t, n, SIGNS_1, SIGNS_2);
        y[S] = rotated * inverse_root(n);
        top = max(top, fields[S]);
    }
#end
    let field = max_of_group(top, 128u);
    var largest = 0u;
#repeat S SEGMENTS
    if 32u * S + t < quads {
        let moved = scale_pow2_4(y[S], i32(fields[S]) - i32(field));
        y[S] = select(moved, vec4<f32>(0.0), field == 255u);
        let size = bitcast<vec4<u32>>(y[S]) & vec4<u32>(0x7fffffffu);
        largest = max(max(largest, max(size.x, size.y)), max(size.z, size.w));
    }
#end
    let by = rounding_of(max_of_group(largest, 128u), field);
#repeat S SEGMENTS
    if 32u * S + t < quads {
        write_codes(y[S], by, row, 32u * S + t, quads);
    }
#end
    for (var block = t; block < params.k_blocks; block += 32u) {
        write_mult(by, row, block, d);
    }
    if t == 0u && field == 255u {
        faults[row] = 1u;
    }
}
#else
var<workgroup> top_field: atomic<u32>;
var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let d = HEAD_DIM;
    let quads = d / 4u;
    if t == 0u {
        atomicStore(&top_field, 0u);
        atomicStore(&largest, 0u);
    }
    let factor = head_factor(row, 0u, 1u);
    for (var quad = t; quad < quads; quad += THREADS) {
        let x = head_quad(row, quad, factor);
        head[4u * quad] = x.x;
        head[4u * quad + 1u] = x.y;
        head[4u * quad + 2u] = x.z;
        head[4u * quad + 3u] = x.w;
    }
    workgroupBarrier();
    rotate_head(d, SIGNS_1, SIGNS_2, t);
    for (var i = t; i < d / 16u; i += THREADS) {
        atomicMax(&top_field, atomicLoad(&fields[i]));
    }
    workgroupBarrier();
    let field = atomicLoad(&top_field);
    for (var i = t; i < d; i += THREADS) {
        let n = group_at(i, d);
        let y = scale_pow2(head[i] * inverse_root(n), i32(field_at(i, n)) - i32(field));
        let kept = select(y, 0.0, field == 255u);
        head[i] = kept;
        atomicMax(&largest, bitcast<u32>(kept) & 0x7fffffffu);
    }
    workgroupBarrier();
    let by = rounding_of(atomicLoad(&largest), field);
    for (var quad = t; quad < quads; quad += THREADS) {
        let i = 4u * quad;
        write_codes(vec4<f32>(head[i], head[i + 1u], head[i + 2u], head[i + 3u]), by, row, quad, quads);
    }
    for (var block = t; block < params.k_blocks; block += THREADS) {
        write_mult(by, row, block, d);
    }
    if t == 0u && field == 255u {
        faults[row] = 1u;
    }
}
#endif
