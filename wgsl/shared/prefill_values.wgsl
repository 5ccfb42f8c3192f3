// Value sums of a tile for coded V, and their folding; docs/exact-attention.md, sections 8 and 9.

#if V_TYPE != 0
#import octet TYPE=V_TYPE POOL=v_pool octet=v_octet
#import levels TYPE=V_TYPE levels=v_levels
#endif
#import prefill_weights
#import prefill_output

// Sums of the chunk: component r is row r of the invocation; and their frames, per block and row.
var<private> chunk_sums: array<vec4<i32>, 8>;
var<private> chunk_frames: array<Frame, 4 * BLOCKS>;
// Frames of the sums of all chunks before, which are in y.
var<private> frames: array<Frame, 4 * BLOCKS>;

// Scale blocks of a slice of `size` values.
fn slice_blocks(size: u32) -> u32 {
#ifdef WHOLE
    return u32(BLOCKS);
#else
#ifdef V_QUANT
    return (size + 31u) / 32u;
#else
    return select(countOneBits(size), 1u, size == 128u);
#endif
#endif
}

// Scale block of a unit within its slice.
fn unit_block(unit: u32, size: u32) -> u32 {
#ifdef V_QUANT
    return unit / 2u;
#else
    return unit_group_index(unit, size);
#endif
}

// Scales of the invocation's keys for block `block` of a slice.
fn value_scales(unit_words: u32, slice: u32, block: u32, t: u32) -> Scales {
#ifdef V_QUANT
    let first = slice * 4u;
#else
    let first = slice;
#endif
    let at = unit_words + TILE * params.v_words + (first + block) * (TILE / 2u) + (t & 15u) * 2u;
    let a = v_pool[at];
    let b = v_pool[at + 1u];
    return scales_of(vec4<u32>(a & 0xffffu, a >> 16u, b & 0xffffu, b >> 16u));
}

// Levels of a slice of the tile's values to workgroup memory, a byte per key.
fn expand_values(unit_words: u32, slice: u32, t: u32) {
    let size = slice_size(params.head_dim_v, slice);
    let octets = size / 8u;
    for (var i = t; i < octets * 16u; i += THREADS) {
        let quad = i / octets;
        let octet = i % octets;
        let token = vec4<u32>(unit_words) + (vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>(quad * 4u)) * params.v_words;
#if V_TYPE == 0
        let a = token + vec4<u32>(slice * 32u + octet * 2u);
        let b = a + vec4<u32>(1u);
        let low = bytes_of_four(vec4<u32>(v_pool[a.x], v_pool[a.y], v_pool[a.z], v_pool[a.w]));
        let high = bytes_of_four(vec4<u32>(v_pool[b.x], v_pool[b.y], v_pool[b.z], v_pool[b.w]));
#repeat J 4
        stage[place_of_value(octet * 8u + J, quad >> 2u)][quad & 3u] = low[J];
        stage[place_of_value(octet * 8u + 4u + J, quad >> 2u)][quad & 3u] = high[J];
#end
#else
        let high = params.head_dim_v / 16u;
        let at = slice * 16u + octet;
        let codes = vec4<u32>(
            v_octet(token.x, at, high),
            v_octet(token.y, at, high),
            v_octet(token.z, at, high),
            v_octet(token.w, at, high),
        );
        let levels = v_levels(bytes_of_four(codes), unit_group(octet / 2u, size));
#repeat J 4
        stage[place_of_value(octet * 8u + 2u * J, quad >> 2u)][quad & 3u] = levels.even[J];
        stage[place_of_value(octet * 8u + 2u * J + 1u, quad >> 2u)][quad & 3u] = levels.odd[J];
#end
#endif
    }
}

// Writes the weights of a block; returns the frames of the invocation's rows.
fn write_weights(scales: Scales, block: u32, t: u32) -> vec4<i32> {
    let lane = t & 15u;
    let first = (t / 16u) * 4u;
    var products: array<Products, 4>;
#repeat R 4
    products[R] = products_of(mantissas[R], exponents[R], scales);
#end
#ifdef SUBGROUP
    let frame = largest_of_lanes(vec4<i32>(
        top_of(products[0]),
        top_of(products[1]),
        top_of(products[2]),
        top_of(products[3]),
    ));
#else
    let frame = vec4<i32>(
        atomicLoad(&row_frames[first * 4u + block]),
        atomicLoad(&row_frames[first * 4u + 4u + block]),
        atomicLoad(&row_frames[first * 4u + 8u + block]),
        atomicLoad(&row_frames[first * 4u + 12u + block]),
    );
#endif
#repeat R 4
    {
        let planes = planes_of(weights_of(products[R], frame[R], scales));
        weights[place_of_row(first + R, lane >> 2u)][lane & 3u] = planes.x;
        weights[place_of_row(first + R, 4u + (lane >> 2u))][lane & 3u] = planes.y;
    }
#end
    return frame;
}

// v / 2^k to the nearest, halves up; 0 from k = 31 on.
fn shift_round4(v: vec4<i32>, k: vec4<u32>) -> vec4<i32> {
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
        chunk_sums[at] = shift_round4(chunk_sums[at], shifts.state) + shift_round4(sums[U], shifts.part);
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
