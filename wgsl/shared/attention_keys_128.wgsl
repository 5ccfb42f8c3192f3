// Scores of a lane's two keys for coded K of 128 values; docs/exact-attention.md, section 6.

#import spread
#if K_TYPE != 0
#import levels TYPE=K_TYPE levels=k_levels
#endif

// Vectors of codes of a token.
#if K_TYPE == 0
#define K_VECTORS 8
#endif
#if K_TYPE == 1
#define K_VECTORS 4
#endif
#if K_TYPE == 2
#define K_VECTORS 2
#endif
#if K_TYPE == 3
#define K_VECTORS 3
#endif
#if K_TYPE == 4
#define K_VECTORS 4
#endif
#ifdef K_TURBO
#define K_BLOCKS 1
#else
#define K_BLOCKS 4
#endif

// Codes of the rows' queries. Of q8_0, per 16 values and row: a vector of first bytes, one of second bytes. Else per 16
// values and row, as levels come: even and odd values of one octet, then of the next.
#if K_TYPE == 0
var<workgroup> query_codes: array<vec4<u32>, ROWS * 16>;
#else
var<workgroup> query_codes: array<vec4<u32>, ROWS * 8>;
#endif
var<workgroup> row_mults: array<f32, ROWS * K_BLOCKS>;

// Bytes 0 and 2 of a, then of b.
fn even_bytes(a: u32, b: u32) -> u32 {
    return (a & 0xffu) | ((a >> 8u) & 0xff00u) | ((b & 0xffu) << 16u) | ((b & 0xff0000u) << 8u);
}

fn load_queries(sequence: Sequence, work: Work, t: u32) {
    for (var i = t; i < ROWS * 8u; i += 128u) {
        let index = row_of(sequence, work.kv_head, work.first_row + i % ROWS).x;
        let present = select(0xffffffffu, 0u, index == ABSENT);
#if K_TYPE == 0
        let at = select(index, 0u, index == ABSENT) * 64u + (i / ROWS) * 4u;
        query_codes[2u * i] =
            vec4<u32>(queries[at], queries[at + 1u], queries[at + 2u], queries[at + 3u]) & vec4<u32>(present);
        query_codes[2u * i + 1u] =
            vec4<u32>(queries[at + 32u], queries[at + 33u], queries[at + 34u], queries[at + 35u]) & vec4<u32>(present);
#else
        let at = select(index, 0u, index == ABSENT) * 32u + (i / ROWS) * 4u;
        let w = vec4<u32>(queries[at], queries[at + 1u], queries[at + 2u], queries[at + 3u]) & vec4<u32>(present);
        query_codes[i] = vec4<u32>(
            even_bytes(w.x, w.y),
            even_bytes(w.x >> 8u, w.y >> 8u),
            even_bytes(w.z, w.w),
            even_bytes(w.z >> 8u, w.w >> 8u),
        );
#endif
    }
    for (var i = t; i < ROWS * K_BLOCKS; i += 128u) {
        let index = row_of(sequence, work.kv_head, work.first_row + i / K_BLOCKS).x;
        row_mults[i] = mults[select(index, 0u, index == ABSENT) * K_BLOCKS + i % K_BLOCKS];
    }
}

// What a lane reads of its two keys: the words that their scales are in, and their codes (of q8_0 as they are needed).
struct KeyWords {
    scales: array<vec2<u32>, K_BLOCKS>,
#if K_TYPE != 0
    near: array<vec4<u32>, K_VECTORS>,
    far: array<vec4<u32>, K_VECTORS>,
#endif
}

// `unit`: the first vector of the tile.
fn read_keys(unit: u32, lane: u32) -> KeyWords {
    var words: KeyWords;
#if K_TYPE != 0
#repeat I K_VECTORS
    words.near[I] = k_pool[unit + lane * K_VECTORS + I];
    words.far[I] = k_pool[unit + (lane + 32u) * K_VECTORS + I];
#end
#endif
#repeat B K_BLOCKS
    {
        let at = unit + TILE * K_VECTORS + B * 8u + lane / 8u;
        words.scales[B] = vec2<u32>(k_pool[at][(lane / 2u) & 3u], k_pool[at + 4u][(lane / 2u) & 3u]);
    }
#end
    return words;
}

#if K_TYPE != 0
// Codes of values 32 `batch` .. of a key, in nibbles.
fn key_codes(key: array<vec4<u32>, K_VECTORS>, batch: u32) -> vec4<u32> {
#if K_VECTORS == 4
    return key[batch];
#else
    let words = key[batch / 2u];
    let w = select(words.xy, words.zw, (batch & 1u) != 0u);
    let low = vec4<u32>(
        spread_pairs(w.x & 0xffffu),
        spread_pairs(w.x >> 16u),
        spread_pairs(w.y & 0xffffu),
        spread_pairs(w.y >> 16u),
    );
#if K_TYPE == 3
    let high = key[2][batch];
    return low | vec4<u32>(
        spread_bits(high & 0xffu),
        spread_bits((high >> 8u) & 0xffu),
        spread_bits((high >> 16u) & 0xffu),
        spread_bits(high >> 24u),
    );
#else
    return low;
#endif
#endif
}
#endif

// The sum with the products of sixteen values added; dot and add are one instruction.
fn add_dot(sum: i32, a: vec4<u32>, b: vec4<u32>) -> i32 {
    let x = dot4I8Packed(a.x, b.x) + sum;
    let y = dot4I8Packed(a.y, b.y) + x;
    let z = dot4I8Packed(a.z, b.z) + y;
    return dot4I8Packed(a.w, b.w) + z;
}

// Q16 log2 scores of keys `lane` and `lane + 32` of the tile that starts at vector `unit`.
fn key_scores(words: KeyWords, unit: u32, lane: u32) -> Scores {
    var scores: Scores;
    var sums: array<vec2<i32>, ROWS>;
#repeat B 4
    {
#if K_TYPE == 0
#repeat H 2
        {
            let a = k_pool[unit + lane * K_VECTORS + B * 2u + H];
            let b = k_pool[unit + (lane + 32u) * K_VECTORS + B * 2u + H];
#repeat R ROWS
            {
                let first = query_codes[((B * 2 + H) * ROWS + R) * 2];
                let second = query_codes[((B * 2 + H) * ROWS + R) * 2 + 1];
                let high = vec2<i32>(add_dot(0, a, first), add_dot(0, b, first));
                sums[R] = 255 * high + vec2<i32>(add_dot(sums[R].x, a, second), add_dot(sums[R].y, b, second));
            }
#end
        }
#end
#else
        let a = k_levels(key_codes(words.near, B), 128u);
        let b = k_levels(key_codes(words.far, B), 128u);
#repeat R ROWS
        {
            let q = query_codes[B * 2 * ROWS + R];
            let p = query_codes[(B * 2 + 1) * ROWS + R];
            let a_low = vec4<u32>(a.even.x, a.odd.x, a.even.y, a.odd.y);
            let a_high = vec4<u32>(a.even.z, a.odd.z, a.even.w, a.odd.w);
            let b_low = vec4<u32>(b.even.x, b.odd.x, b.even.y, b.odd.y);
            let b_high = vec4<u32>(b.even.z, b.odd.z, b.even.w, b.odd.w);
            sums[R].x = add_dot(add_dot(sums[R].x, a_low, q), a_high, p);
            sums[R].y = add_dot(add_dot(sums[R].y, b_low, q), b_high, p);
        }
#end
#endif
#if K_BLOCKS == 4
        add_scores(&scores, &sums, words.scales[B], B, lane);
#endif
    }
#end
#if K_BLOCKS == 1
    add_scores(&scores, &sums, words.scales[0], 0u, lane);
#endif
    return scores;
}

// Adds a scale block's part of the scores, and clears its sums.
fn add_scores(
    scores: ptr<function, Scores>,
    sums: ptr<function, array<vec2<i32>, ROWS>>,
    words: vec2<u32>,
    block: u32,
    lane: u32,
) {
    let halves = (words >> vec2<u32>((lane & 1u) * 16u)) & vec2<u32>(0xffffu);
    let scale = vec2<f32>(unpack2x16float(halves.x).x, unpack2x16float(halves.y).x);
#repeat R ROWS
    {
        let product = opaque4((vec2<f32>((*sums)[R]) * scale).xyxy).xy;
        let scaled = clamp(product * row_mults[R * K_BLOCKS + block], vec2<f32>(-LIMIT), vec2<f32>(LIMIT));
        (*scores).row[R] += vec2<i32>(round(scaled));
        (*sums)[R] = vec2<i32>(0);
    }
#end
}
