// Value sums of a tile for coded V, and their folding; docs/exact-attention.md, sections 8 and 9.

#import prefill_values
#import prefill_output

// Sums of the chunk: component r is row r of the invocation; and their frames, per block and row.
var<private> chunk_sums: array<vec4<i32>, 8>;
var<private> chunk_frames: array<Frame, 4 * BLOCKS>;
// Frames of the sums of all chunks before, which are in y.
var<private> frames: array<Frame, 4 * BLOCKS>;

// v / 2^k to the nearest, halves up; 0 from k = 31 on.
fn shift_rows(v: vec4<i32>, k: vec4<u32>) -> vec4<i32> {
    let shift = k & vec4<u32>(31u);
    let half = bitcast<vec4<i32>>((vec4<u32>(1u) << shift) >> vec4<u32>(1u));
    return select((v + half) >> shift, vec4<i32>(0), k > vec4<u32>(30u));
}

// Shifts that bring two sums of the four rows into one frame.
struct Shifts {
    state: vec4<u32>,
    part: vec4<u32>,
}

// The sums of TOGETHER units from `unit` on, of all keys.
fn sums_of(unit: u32, t: u32) -> array<vec4<i32>, TOGETHER> {
    let lane = t & 15u;
    let first = (t / 16u) * 4u;
    var low: array<vec4<i32>, TOGETHER>;
    var high: array<vec4<i32>, TOGETHER>;
#if V_TYPE == 0
    var ones: array<i32, TOGETHER>;
#endif
    for (var step = 0u; step < 4u; step++) {
        var w: array<vec4<u32>, 4>;
        var v: array<vec4<u32>, 4>;
#repeat R 4
        w[R] = weights[place_of_row(first + R, step)];
        v[R] = weights[place_of_row(first + R, 4u + step)];
#end
#repeat U TOGETHER
        {
            let x = stage[place_of_value(unit * 16u + U * 16u + lane, step)];
            low[U] += vec4<i32>(dot16(x, w[0]), dot16(x, w[1]), dot16(x, w[2]), dot16(x, w[3]));
            high[U] += vec4<i32>(dot16(x, v[0]), dot16(x, v[1]), dot16(x, v[2]), dot16(x, v[3]));
#if V_TYPE == 0
            ones[U] += dot16(x, vec4<u32>(0x01010101u));
#endif
        }
#end
    }
    var sums: array<vec4<i32>, TOGETHER>;
#repeat U TOGETHER
#if V_TYPE == 0
    sums[U] = (high[U] << vec4<u32>(8u)) + low[U] + vec4<i32>(ones[U] << 7u);
#else
    sums[U] = (high[U] << vec4<u32>(7u)) + low[U];
#endif
#end
    return sums;
}

// The shifts of a block's sums of the chunk and of the tile, which has the frames `frame`; the chunk's frame follows.
fn join_block(block: u32, frame: vec4<i32>) -> Shifts {
    var shifts: Shifts;
#repeat R 4
    {
        let bound = select(BOUND, 0u, frame[R] == LOWEST);
        let join = join_frames(chunk_frames[4u * block + R], Frame(frame[R], bound));
        chunk_frames[4u * block + R] = join.frame;
        shifts.state[R] = join.state;
        shifts.part[R] = join.part;
    }
#end
    return shifts;
}

// Adds the tile to the chunk's sums of TOGETHER units.
fn add_units(unit: u32, shifts: Shifts, t: u32) {
    let sums = sums_of(unit, t);
#repeat U TOGETHER
    {
        let at = unit + U;
        chunk_sums[at] = shift_rows(chunk_sums[at], shifts.state) + shift_rows(sums[U], shifts.part);
    }
#end
}

// Adds the tile to the sums of the chunk. Ends with the values' levels and the weights still being read, or not if
// keys and values share memory.
fn add_values(unit_words: u32, slice: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
#ifdef SUBGROUP
    add_denominators();
#else
    let first = (t / 16u) * 4u;
    for (var block = 0u; block < slice_blocks(size); block++) {
        let scales = value_scales(unit_words, slice, block, t);
#repeat R 4
        atomicMax(&row_frames[(first + R) * 4u + block], top_of(products_of(mantissas[R], exponents[R], scales)));
#end
    }
    workgroupBarrier();
    sum_mantissas(t);
#endif
    expand_values(unit_words, slice, t);
#ifdef WHOLE
    // Unrolled: the sums are in registers.
#repeat B BLOCKS
    {
#if B != 0
        workgroupBarrier();
#endif
        let frame = write_weights(value_scales(unit_words, slice, B, t), B, t);
        workgroupBarrier();
        let shifts = join_block(B, frame);
#repeat P 8 / BLOCKS / TOGETHER
        add_units((B * 8 / BLOCKS) + P * TOGETHER, shifts, t);
#end
    }
#end
#else
    // One piece of code for all units: compiling it eight times takes software adapters a minute.
    var shifts: Shifts;
    var block = 0xffffffffu;
    for (var unit = 0u; unit * 16u < size; unit += u32(TOGETHER)) {
        if unit_block(unit, size) != block {
            if block != 0xffffffffu {
                workgroupBarrier();
            }
            block = unit_block(unit, size);
            let frame = write_weights(value_scales(unit_words, slice, block, t), block, t);
            workgroupBarrier();
            shifts = join_block(block, frame);
        }
        add_units(unit, shifts, t);
    }
#endif
#ifndef SUBGROUP
    add_denominators(t);
#endif
#ifdef OVERLAY
    workgroupBarrier();
    reset_softmax(t);
#endif
}

// Adds the chunk to the sums of all chunks, and empties it.
fn fold_chunk(slice: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
    fold_denominators();
    var shifts: array<Shifts, BLOCKS>;
#repeat B BLOCKS
#repeat R 4
    {
        let join = join_frames(frames[4 * B + R], chunk_frames[4 * B + R]);
        frames[4 * B + R] = join.frame;
        chunk_frames[4 * B + R] = Frame(0, 0u);
        shifts[B].state[R] = join.state;
        shifts[B].part[R] = join.part;
    }
#end
#end
#ifdef WHOLE
#repeat J 8
    fold_unit(J, slice, size, shifts[J * BLOCKS / 8], t);
#end
#else
    for (var unit = 0u; unit * 16u < size; unit++) {
        fold_unit(unit, slice, size, shifts[unit_block(unit, size)], t);
    }
#endif
}

// Adds the chunk's sums of a unit to those in y, and empties them.
fn fold_unit(unit: u32, slice: u32, size: u32, shifts: Shifts, t: u32) {
#repeat R 4
    {
        let index = rows[(t / 16u) * 4u + R].x;
        let at = index * params.head_dim_v + slice * 128u + (t & 15u) + unit * 16u;
        if index != ABSENT {
            let state = shift_round(bitcast<i32>(y[at]), shifts.state[R]);
            y[at] = bitcast<u32>(state + shift_round(chunk_sums[unit][R], shifts.part[R]));
        }
    }
#end
    chunk_sums[unit] = vec4<i32>(0);
}
