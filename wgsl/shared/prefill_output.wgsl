// The rows' output heads: the sink, normalising, and rotating back, all rows at once; docs/exact-attention.md,
// section 10.

#import butterfly
#import float_bits
#import signs

#if V_TYPE == 2
const SHIFTS = vec4<i32>(8, 9, 9, 10);
#else
const SHIFTS = vec4<i32>(8, 8, 8, 9);
#endif

// Of every row: largest exponent field of the rotation group that starts at a unit.
var<workgroup> fields: array<atomic<u32>, ROWS * 8>;

// First unit of the rotation group of a unit.
fn first_of_group(unit: u32, size: u32) -> u32 {
    return unit & ~(unit_group(unit, size) / 16u - 1u);
}

// The invocation's values, still rotated, to `stage`, row by row.
fn normalise_rows(slice: u32, kv_head: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
    let lane = t & 15u;
#repeat R 4
    {
        let row = (t / 16u) * 4u + R;
        let index = rows[row].x;
        var denominator = denominators[R];
        if params.sinks != 0u && index != ABSENT {
            denominator = fold_denominator(denominator, sink_of(sinks[index % (params.kv_heads * params.group)]));
        }
        let l = max(denominator.bound, 1u);
        let el2 = 16 - i32(countLeadingZeros(l));
        let l16 = select(l << u32(max(-el2, 0)), l >> u32(max(el2, 0)), el2 >= 0);
        let whole = 0x80000000u / l16;
        let left = 0x80000000u % l16;
        let factor = f32(i32(min((whole << 15u) + (left << 15u) / l16, 0x7fffffffu)));
        let exponent = -(denominator.e - 23) - el2 - 46 - WEIGHT_BITS - 44;
        let at = index * params.head_dim_v + slice * 128u + lane;
        for (var unit = 0u; unit * 16u < size; unit++) {
            if index == ABSENT {
                break;
            }
            let frame = frame_of(unit_block(unit, size), R);
#ifdef V_QUANT
            let shift = 0;
#else
            let shift = SHIFTS[countTrailingZeros(unit_group(unit, size)) - 4u];
#endif
            let value = scale_pow2(f32(bitcast<i32>(y[at + unit * 16u])) * factor, frame.e + exponent - shift);
            let kept = select(value, 0.0, denominator.bound == 0u || frame.bound == 0u);
            stage[row * 32u + unit * 4u + lane / 4u][lane & 3u] = bitcast<u32>(kept);
            atomicMax(&fields[row * 8u + first_of_group(unit, size)], exponent_field(kept));
        }
    }
#end
}

// Without an index that registers cannot have.
fn frame_of(block: u32, r: u32) -> Frame {
    var frame = frames[r];
#repeat B BLOCKS
    if block == B {
        frame = frames[4 * B + r];
    }
#end
    return frame;
}

// Normalises the values of a unit, flips them, and transforms by the strides below 16.
fn rotate_unit(row: u32, unit: u32, size: u32) {
    let n = unit_group(unit, size);
    let field = atomicLoad(&fields[row * 8u + first_of_group(unit, size)]);
    let at = row * 32u + unit * 4u;
    let quad = (unit * 4u) & (n / 4u - 1u);
    var v: array<vec4<f32>, 4>;
#repeat J 4
    v[J] = butterflies4(flip4(normalise4(bitcast<vec4<f32>>(stage[at + J]), field), SIGNS_2, quad + J));
#end
    let a = opaque4(v[0] + v[1]);
    let b = opaque4(v[0] - v[1]);
    let c = opaque4(v[2] + v[3]);
    let d = opaque4(v[2] - v[3]);
    stage[at] = bitcast<vec4<u32>>(a + c);
    stage[at + 1u] = bitcast<vec4<u32>>(b + d);
    stage[at + 2u] = bitcast<vec4<u32>>(a - c);
    stage[at + 3u] = bitcast<vec4<u32>>(b - d);
}

// The strides from 16 on of the invocation's values of a row, flipped and scaled, to y.
fn finish_row(row: u32, slice: u32, size: u32, lane: u32) {
    const ROOTS = vec4<f32>(0.25f, 0x1.6a09e6p-3f, 0.125f, 0x1.6a09e6p-4f);
    let index = rows[row].x;
    if index == ABSENT {
        return;
    }
    var v: array<f32, 8>;
#repeat J 8
    v[J] = bitcast<f32>(stage[row * 32u + J * 4u + lane / 4u][lane & 3u]);
#end
#repeat S 3
#repeat P 4
    {
        const low = ((P >> S) << (S + 1)) | (P & ((1 << S) - 1));
        let joined = unit_group(low, size) > (16u << S) && u32(low * 16) < size;
        let a = v[low];
        let b = v[low + (1 << S)];
        v[low] = select(a, opaque(a + b), joined);
        v[low + (1 << S)] = select(b, opaque(a - b), joined);
    }
#end
#end
    let at = index * params.head_dim_v + slice * 128u + lane;
#repeat J 8
    if J * 16u < size {
        let n = unit_group(J, size);
        let i = (J * 16u + lane) & (n - 1u);
        let flipped = bitcast<f32>(bitcast<u32>(v[J]) ^ ((SIGNS_1[(i >> 5u) & 3u] >> (i & 31u)) << 31u));
        let field = atomicLoad(&fields[row * 8u + first_of_group(J, size)]);
        let value = scale_pow2(flipped * ROOTS[countTrailingZeros(n) - 4u], i32(field) - 127);
        y[at + J * 16u] = bitcast<u32>(value);
    }
#end
}

fn write_output(slice: u32, kv_head: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
    atomicStore(&fields[2u * t], 0u);
    atomicStore(&fields[2u * t + 1u], 0u);
    workgroupBarrier();
    normalise_rows(slice, kv_head, t);
    workgroupBarrier();
    let units = size / 16u;
    for (var i = t; i < ROWS * units; i += THREADS) {
        if rows[i / units].x != ABSENT {
            rotate_unit(i / units, i % units, size);
        }
    }
    workgroupBarrier();
    for (var r = 0u; r < 4u; r++) {
        finish_row((t / 16u) * 4u + r, slice, size, t & 15u);
    }
}
