// Value sums of a tile for coded V of 128 values, and the fold of a chunk's tiles; docs/exact-attention.md, sections 8, 9.

#import spread
#if V_TYPE != 0
#import levels TYPE=V_TYPE levels=v_levels
#define BOUND 0x1000000u
#else
#define BOUND 0x10000000u
#endif

// Vectors of a partial, and of its head: l, e of the denominator, e, bound of every scale block.
const HEAD_VECTORS = (2u + 2u * V_BLOCKS + 3u) / 4u;
const PARTIAL_VECTORS = HEAD_VECTORS + 32u;

// Component j: byte j of the four words.
fn transpose_bytes(w: vec4<u32>) -> vec4<u32> {
    let low = (w.xy & vec2<u32>(0xffffu)) | (w.zw << vec2<u32>(16u));
    let high = (w.xy >> vec2<u32>(16u)) | (w.zw & vec2<u32>(0xffff0000u));
    let a = vec2<u32>(low.x, high.x);
    let b = vec2<u32>(low.y, high.y);
    let even = (a & vec2<u32>(0x00ff00ffu)) | ((b << vec2<u32>(8u)) & vec2<u32>(0xff00ff00u));
    let odd = ((a >> vec2<u32>(8u)) & vec2<u32>(0x00ff00ffu)) | (b & vec2<u32>(0xff00ff00u));
    return vec4<u32>(even.x, odd.x, even.y, odd.y);
}

// What a lane reads of eight keys: words with its codes, of turbo3 also with their high bits. Keys 4 i .. 4 i + 3, then
// those 32 behind.
struct EightCodes {
    near: vec4<u32>,
    far: vec4<u32>,
#if V_TYPE == 3
    near_high: vec4<u32>,
    far_high: vec4<u32>,
#endif
}

fn four_words(at: u32) -> vec4<u32> {
    return vec4<u32>(v_pool[at], v_pool[at + V_WORDS], v_pool[at + 2u * V_WORDS], v_pool[at + 3u * V_WORDS]);
}

// `at`: first word of key 4 i.
fn value_codes(at: u32, lane: u32) -> EightCodes {
    let far = at + 32u * V_WORDS;
#if V_TYPE == 0
    return EightCodes(four_words(at + lane), four_words(far + lane));
#endif
#if V_TYPE == 1
    return EightCodes(four_words(at + lane / 2u), four_words(far + lane / 2u));
#endif
#if V_TYPE == 4
    return EightCodes(four_words(at + lane / 2u), four_words(far + lane / 2u));
#endif
#if V_TYPE == 2
    return EightCodes(four_words(at + lane / 4u), four_words(far + lane / 4u));
#endif
#if V_TYPE == 3
    return EightCodes(
        four_words(at + lane / 4u),
        four_words(far + lane / 4u),
        four_words(at + 8u + lane / 8u),
        four_words(far + 8u + lane / 8u),
    );
#endif
}

// Levels of the lane's four values, a word per value with a byte per token: keys 4 i, 4 i + 1, 4 i + 32, 4 i + 33 in
// the first vector, those two behind each of them in the second.
struct EightKeys {
    first: vec4<u32>,
    second: vec4<u32>,
}

#if V_TYPE != 0
// Codes in nibbles, four of a token in a half: tokens x and y, then z and w.
#if V_TYPE == 3
fn pair_codes(words: vec4<u32>, high_words: vec4<u32>, lane: u32) -> vec2<u32> {
    let codes = (words >> vec4<u32>((lane & 3u) * 8u)) & vec4<u32>(0xffu);
    let high = (high_words >> vec4<u32>((lane & 7u) * 4u)) & vec4<u32>(0xfu);
    return vec2<u32>(
        spread_pairs(codes.x | (codes.y << 8u)) | spread_bits(high.x | (high.y << 4u)),
        spread_pairs(codes.z | (codes.w << 8u)) | spread_bits(high.z | (high.w << 4u)),
    );
}
#else
fn pair_codes(words: vec4<u32>, lane: u32) -> vec2<u32> {
#if V_TYPE == 2
    let codes = (words >> vec4<u32>((lane & 3u) * 8u)) & vec4<u32>(0xffu);
    return vec2<u32>(spread_pairs(codes.x | (codes.y << 8u)), spread_pairs(codes.z | (codes.w << 8u)));
#else
    // The upper half of the second code by a product, which another unit of a processor makes than those of bits.
    let low = words.xz >> vec2<u32>((lane & 1u) * 16u);
    let high = words.yw * select(1u, 0x10000u, (lane & 1u) == 0u);
    return (low & vec2<u32>(0xffffu)) | (high & vec2<u32>(0xffff0000u));
#endif
}
#endif
#endif

fn value_levels(codes: EightCodes, lane: u32) -> EightKeys {
    let near = codes.near;
    let far = codes.far;
#if V_TYPE == 0
    return EightKeys(
        transpose_bytes(vec4<u32>(near.xy, far.xy)),
        transpose_bytes(vec4<u32>(near.zw, far.zw)),
    );
#else
#if V_TYPE == 3
    let near_high = codes.near_high;
    let far_high = codes.far_high;
    let x = pair_codes(vec4<u32>(near.x, far.x, near.z, far.z), vec4<u32>(near_high.x, far_high.x, near_high.z, far_high.z), lane);
    let y = pair_codes(vec4<u32>(near.y, far.y, near.w, far.w), vec4<u32>(near_high.y, far_high.y, near_high.w, far_high.w), lane);
#else
    let x = pair_codes(vec4<u32>(near.x, far.x, near.z, far.z), lane);
    let y = pair_codes(vec4<u32>(near.y, far.y, near.w, far.w), lane);
#endif
    let even = (x & vec2<u32>(0x00ff00ffu)) | ((y << vec2<u32>(8u)) & vec2<u32>(0xff00ff00u));
    let odd = ((x >> vec2<u32>(8u)) & vec2<u32>(0x00ff00ffu)) | (y & vec2<u32>(0xff00ff00u));
    let levels = v_levels(vec4<u32>(even.x, odd.x, even.y, odd.y), 128u);
    return EightKeys(
        vec4<u32>(levels.even.x, levels.odd.x, levels.even.y, levels.odd.y),
        vec4<u32>(levels.even.z, levels.odd.z, levels.even.w, levels.odd.w),
    );
#endif
}

// The sums with four keys' products added; dot and add are one instruction.
fn add_dots(sums: vec4<i32>, levels: vec4<u32>, weights: u32) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(levels.x, weights) + sums.x,
        dot4I8Packed(levels.y, weights) + sums.y,
        dot4I8Packed(levels.z, weights) + sums.z,
        dot4I8Packed(levels.w, weights) + sums.w,
    );
}

struct Sums {
    row: array<vec4<i32>, ROWS>,
}

// Reads a word of every 32 bytes of the tile's codes, so that they are near when they are needed.
fn touch_values(v_unit: u32, lane: u32) -> u32 {
    var x = 0u;
#repeat J V_SECTORS
    x ^= v_pool[v_unit + (lane + 32u * J) * 8u];
#end
    return x;
}

// Sums of the lane's four values over the first `keys` keys of a tile.
fn sum_values(v_unit: u32, tile: u32, keys: u32, lane: u32) -> Sums {
    var low: array<vec4<i32>, ROWS>;
    var high: array<vec4<i32>, ROWS>;
#if V_TYPE == 0
    var ones = vec4<i32>(0);
#endif
    let block = lane / (32u / V_BLOCKS);
    let steps = min((keys + 3u) / 4u, 8u);
    for (var i = 0u; i < steps; i++) {
        let levels = value_levels(value_codes(v_unit + i * 4u * V_WORDS, lane), lane);
#if V_TYPE == 0
        ones = add_dots(add_dots(ones, levels.first, 0x01010101u), levels.second, 0x01010101u);
#endif
        let at = (tile * 8u + i) * ROWS * V_BLOCKS + block;
#repeat R ROWS
        {
            let w = scratch[at + R * V_BLOCKS];
            low[R] = add_dots(add_dots(low[R], levels.first, w.x), levels.second, w.z);
            high[R] = add_dots(add_dots(high[R], levels.first, w.y), levels.second, w.w);
        }
#end
    }
    var sums: Sums;
#repeat R ROWS
#if V_TYPE == 0
    sums.row[R] = (high[R] << vec4<u32>(8u)) + low[R] + (ones << vec4<u32>(7u));
#else
    sums.row[R] = (high[R] << vec4<u32>(7u)) + low[R];
#endif
#end
    return sums;
}

// A lane's four sums of a chunk, and their frame.
struct Folded {
    sum: vec4<i32>,
    frame: Frame,
}

// The tiles of a row folded in order.
fn fold_row(row: u32, lane: u32) -> Folded {
    let block = lane / (32u / V_BLOCKS);
    var state = Frame(0, 0u);
    var sum = vec4<i32>(0);
#repeat J 4
    {
        let e = atomicLoad(&frames[(block * ROWS + row) * 4u + J]);
        let join = join_frames(state, Frame(e, select(BOUND, 0u, e < HIDDEN / 2)));
        state = join.frame;
        let part = bitcast<vec4<i32>>(scratch[(J * ROWS + row) * 32u + lane]);
        sum = fold_value4(sum, part, join);
    }
#end
    return Folded(sum, state);
}

// The tiles' denominators of a row, folded in order.
fn fold_denominators(row: u32) -> Frame {
    var state = Frame(0, 0u);
#repeat J 4
    state = fold_denominator(state, Frame(atomicLoad(&exponents[row * 4u + J]), atomicLoad(&mantissas[row * 4u + J])));
#end
    return state;
}

#ifndef SHORT
// Folds the tiles of every row and writes the partials.
fn fold_tiles(slot: u32, t: u32) {
    let lane = t & 31u;
    let block = lane / (32u / V_BLOCKS);
    for (var row = t / 32u; row < ROWS; row += 4u) {
        let index = rows[row].x;
        if index == ABSENT {
            continue;
        }
        let partial = (index * params.slots + slot) * PARTIAL_VECTORS;
        let folded = fold_row(row, lane);
        partials[partial + HEAD_VECTORS + lane] = bitcast<vec4<u32>>(folded.sum);
        if lane % (32u / V_BLOCKS) == 0u {
            // Word 2 + 2 * block of the partial.
            let at = partial + (block + 1u) / 2u;
            let half = ((block + 1u) & 1u) * 2u;
            partials[at][half] = bitcast<u32>(folded.frame.e);
            partials[at][half + 1u] = folded.frame.bound;
        }
        if lane == 0u {
            let l = fold_denominators(row);
            partials[partial].x = l.bound;
            partials[partial].y = bitcast<u32>(l.e);
        }
    }
}
#endif
