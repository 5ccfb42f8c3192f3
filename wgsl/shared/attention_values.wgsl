// Softmax weights and value sums of a chunk for coded V; docs/exact-attention.md, sections 7 to 9.

#import attention_softmax
#if V_TYPE != 0
#import octet TYPE=V_TYPE POOL=v_pool octet=v_octet
#import levels TYPE=V_TYPE levels=v_levels
#define WEIGHT_BITS 10
#define WEIGHT_MAX 2047u
#define BOUND 0x1000000u
#else
#define WEIGHT_BITS 14
#define WEIGHT_MAX 32767u
#define BOUND 0x10000000u
#endif

// Size of the scale block that starts at an octet.
fn block_size(octet: u32) -> u32 {
#if V_TYPE == 0
    return quant_size(DIM_V - octet * 8u);
#else
#if V_TYPE == 1
    return quant_size(DIM_V - octet * 8u);
#else
    return group_size(DIM_V - octet * 8u);
#endif
#endif
}

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

// Codes of an octet of four tokens, the first of which is at word `at`; of q8_0 those of values 0 to 3 and 4 to 7.
fn value_codes(at: u32, i: u32) -> array<vec4<u32>, 2> {
    let token = vec4<u32>(at) + vec4<u32>(0u, 1u, 2u, 3u) * V_WORDS;
#if V_TYPE == 0
    let a = token + vec4<u32>(2u * i);
    let b = a + vec4<u32>(1u);
    return array<vec4<u32>, 2>(
        vec4<u32>(v_pool[a.x], v_pool[a.y], v_pool[a.z], v_pool[a.w]),
        vec4<u32>(v_pool[b.x], v_pool[b.y], v_pool[b.z], v_pool[b.w]),
    );
#else
    let high = DIM_V / 16u;
    let codes = vec4<u32>(
        v_octet(token.x, i, high),
        v_octet(token.y, i, high),
        v_octet(token.z, i, high),
        v_octet(token.w, i, high),
    );
    return array<vec4<u32>, 2>(codes, vec4<u32>(0u));
#endif
}

// Their levels, a word per value with a byte per token. Coded in nibbles: component j of even is value 2 j, of odd
// 2 j + 1; q8_0: component j of even is value j, of odd 4 + j.
fn value_levels(codes: array<vec4<u32>, 2>, n: u32) -> Levels {
#if V_TYPE == 0
    return Levels(transpose_bytes(codes[0]), transpose_bytes(codes[1]));
#else
    return v_levels(transpose_bytes(codes[0]), n);
#endif
}

// The place of value i of an octet among the components of even and odd.
fn value_place(i: u32) -> u32 {
#if V_TYPE == 0
    return i;
#else
    return (i >> 1u) | ((i & 1u) << 2u);
#endif
}

fn value_dots(levels: vec4<u32>, weights: u32) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(levels.x, weights),
        dot4I8Packed(levels.y, weights),
        dot4I8Packed(levels.z, weights),
        dot4I8Packed(levels.w, weights),
    );
}

// Mantissa with hidden bit of the f16 scales in x, exponent fields (at least 1) in y; z is the sign bit.
fn scale_parts(half: vec4<u32>) -> array<vec4<u32>, 2> {
    let field = (half >> vec4<u32>(10u)) & vec4<u32>(31u);
    let hidden = select(vec4<u32>(0u), vec4<u32>(1024u), field != vec4<u32>(0u));
    return array<vec4<u32>, 2>((half & vec4<u32>(0x3ffu)) | hidden, max(field, vec4<u32>(1u)));
}

// Four signed weights as bytes: the lower bits (7; wide 8, less 128) and those above.
fn pack_weights(w: vec4<i32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(w);
#if V_TYPE == 0
    let low = (bits & vec4<u32>(0xffu)) ^ vec4<u32>(0x80u);
    let high = (bits >> vec4<u32>(8u)) & vec4<u32>(0xffu);
#else
    let low = bits & vec4<u32>(0x7fu);
    let high = (bits >> vec4<u32>(7u)) & vec4<u32>(0xffu);
#endif
    return vec2<u32>(
        low.x | (low.y << 8u) | (low.z << 16u) | (low.w << 24u),
        high.x | (high.y << 8u) | (high.z << 16u) | (high.w << 24u),
    );
}

// Sums of an item's octet over its keys, to scratch. Items of a block of n values: octet, then tile, then share of the
// tile's keys.
fn sum_item(units: vec4<u32>, octet: u32, n: u32, t: u32) {
    let per = n / 8u;
    let tile = (t / per) & 3u;
    let keys = per * 4u;
    let first = (t / keys) * keys;
    let at = units[tile];
    var low: array<array<vec4<i32>, 2>, ROWS>;
    var high: array<array<vec4<i32>, 2>, ROWS>;
#if V_TYPE == 0
    var ones: array<vec4<i32>, 2>;
#endif
    for (var key = first; key < first + keys; key += 4u) {
        let levels = value_levels(value_codes(at + key * V_WORDS, octet + t % per), n);
#if V_TYPE == 0
        ones[0] += value_dots(levels.even, 0x01010101u);
        ones[1] += value_dots(levels.odd, 0x01010101u);
#endif
        let quad = tile * 16u + key / 4u;
#repeat R ROWS
        {
            let w = packed[R * 64u + quad];
            low[R][0] += value_dots(levels.even, w.x);
            low[R][1] += value_dots(levels.odd, w.x);
            high[R][0] += value_dots(levels.even, w.y);
            high[R][1] += value_dots(levels.odd, w.y);
        }
#end
    }
#repeat R ROWS
#repeat H 2
    {
#if V_TYPE == 0
        let sum = (high[R][H] << vec4<u32>(8u)) + low[R][H] + (ones[H] << vec4<u32>(7u));
#else
        let sum = (high[R][H] << vec4<u32>(7u)) + low[R][H];
#endif
        let to = R * ROW_WORDS + H * 272u + t;
        scratch[to] = sum.x;
        scratch[to + 68u] = sum.y;
        scratch[to + 136u] = sum.z;
        scratch[to + 204u] = sum.w;
    }
#end
#end
}

// Folds the tiles' sums of a block in order and writes them to the row's partial.
fn fold_block(row: u32, block: u32, first: u32, n: u32, slot: u32, t: u32) {
    let index = rows[row].x;
    if index == ABSENT {
        return;
    }
    let partial = partial_at(index, slot);
    var state = Frame(0, 0u);
    var joins: array<Join, 4>;
#repeat J 4
    {
        let e = atomicLoad(&frames[((block & 1u) * ROWS + row) * 4u + J]);
        joins[J] = join_frames(state, Frame(e, select(BOUND, 0u, e == LOWEST)));
        state = joins[J].frame;
    }
#end
    if t == 0u {
        partials[partial + 2u + 2u * block] = bitcast<u32>(state.e);
        partials[partial + 3u + 2u * block] = state.bound;
    }
    let per = n / 8u;
    let shares = 16u / per;
    for (var i = t; i < n; i += 64u) {
        let at = row * ROW_WORDS + value_place(i & 7u) * 68u + i / 8u;
        var sum = 0;
#repeat J 4
        {
            var part = 0;
            for (var share = 0u; share < shares; share++) {
                part += scratch[at + (J + share * 4u) * per];
            }
            sum = fold_value(sum, part, joins[J]);
        }
#end
        partials[partial + partial_head(V_BLOCKS) + first + i] = bitcast<u32>(sum);
    }
}

fn add_values(scores: Scores, position: vec4<u32>, units: vec4<u32>, slot: u32, t: u32) {
    var powers = powers_of(scores, position, t);
    let scales = units + vec4<u32>(TILE * V_WORDS + t / 2u);
    var octet = 0u;
    for (var block = 0u; block < V_BLOCKS; block++) {
        let n = block_size(octet);
        let at = scales + vec4<u32>(block * (TILE / 2u));
        let words = vec4<u32>(v_pool[at.x], v_pool[at.y], v_pool[at.z], v_pool[at.w]);
        let half = words >> vec4<u32>((t & 1u) * 16u);
        let parts = scale_parts(half);
        let parity = (block & 1u) * ROWS * 4u;
        var products: array<vec4<u32>, ROWS>;
        var tops: array<vec4<i32>, ROWS>;
#repeat R ROWS
        {
            products[R] = (powers.mantissa[R] >> vec4<u32>(4u)) * parts[0];
            tops[R] = powers.exponent[R] + bitcast<vec4<i32>>(parts[1]);
            let leading = bitcast<vec4<i32>>(firstLeadingBit(products[R]));
            let top = select(tops[R] + leading, vec4<i32>(LOWEST), products[R] == vec4<u32>(0u));
            merge_frames(parity + R * 4u, top);
        }
#end
        workgroupBarrier();
        if block == 0u {
            sum_mantissas(powers);
        }
        if t < ROWS * 4u {
            atomicStore(&frames[((block + 1u) & 1u) * ROWS * 4u + t], LOWEST);
        }
#repeat R ROWS
        {
            let frame = vec4<i32>(
                atomicLoad(&frames[parity + R * 4u]),
                atomicLoad(&frames[parity + R * 4u + 1u]),
                atomicLoad(&frames[parity + R * 4u + 2u]),
                atomicLoad(&frames[parity + R * 4u + 3u]),
            );
            let drop = bitcast<vec4<u32>>(frame - vec4<i32>(WEIGHT_BITS) - tops[R]);
            let shift = drop & vec4<u32>(31u);
            let rounded = (products[R] + ((vec4<u32>(1u) << shift) >> vec4<u32>(1u))) >> shift;
            let gone = (drop > vec4<u32>(31u)) | (products[R] == vec4<u32>(0u));
            let weight = bitcast<vec4<i32>>(select(min(rounded, vec4<u32>(WEIGHT_MAX)), vec4<u32>(0u), gone));
            let signed = select(weight, -weight, (half & vec4<u32>(0x8000u)) != vec4<u32>(0u));
            scratch[R * ROW_WORDS + t] = signed.x;
            scratch[R * ROW_WORDS + 64u + t] = signed.y;
            scratch[R * ROW_WORDS + 128u + t] = signed.z;
            scratch[R * ROW_WORDS + 192u + t] = signed.w;
        }
#end
        workgroupBarrier();
#repeat R ROWS
        {
            let at_four = R * ROW_WORDS + t * 4u;
            packed[R * 64u + t] =
                pack_weights(vec4<i32>(
                    scratch[at_four],
                    scratch[at_four + 1u],
                    scratch[at_four + 2u],
                    scratch[at_four + 3u],
                ));
        }
#end
        workgroupBarrier();
        sum_item(units, octet, n, t);
        workgroupBarrier();
        for (var row = 0u; row < ROWS; row++) {
            fold_block(row, block, octet * 8u, n, slot, t);
        }
        if block == 0u {
            write_denominator(slot, t);
        }
        octet += n / 8u;
    }
}
