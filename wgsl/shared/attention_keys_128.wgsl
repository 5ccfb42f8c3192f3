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

// The words that the scales of a lane's two keys are in, for a scale block; `unit` is the first vector of the tile.
fn key_scale_words(unit: u32, block: u32, lane: u32) -> vec2<u32> {
    let at = unit + TILE * K_VECTORS + block * 8u + lane / 8u;
    return vec2<u32>(k_pool[at][(lane / 2u) & 3u], k_pool[at + 4u][(lane / 2u) & 3u]);
}

// Reads a word of every 32 bytes of the tile's codes and scales, so that they are near when they are needed.
fn touch_keys(unit: u32, lane: u32) -> u32 {
    var x = key_scale_words(unit, lane % K_BLOCKS, lane).x;
#repeat J K_VECTORS
    x ^= k_pool[unit + (lane + 32u * J) * 2u].x;
#end
    return x;
}

#if K_TYPE != 0
// Codes of values 32 `batch` .. of the key whose first vector is `at`, in nibbles.
fn key_codes(at: u32, batch: u32) -> vec4<u32> {
#if K_VECTORS == 4
    return k_pool[at + batch];
#else
    let words = k_pool[at + batch / 2u];
    let w = select(words.xy, words.zw, (batch & 1u) != 0u);
    let low = vec4<u32>(
        spread_pairs(w.x & 0xffffu),
        spread_pairs(w.x >> 16u),
        spread_pairs(w.y & 0xffffu),
        spread_pairs(w.y >> 16u),
    );
#if K_TYPE == 3
    let high = k_pool[at + 2u][batch];
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
// A loop, not copies of its body: between two layers of a model a GPU forgets the code, and has to read all of it again.
fn key_scores(first_scales: vec2<u32>, unit: u32, lane: u32) -> Scores {
    var scores: Scores;
    var sums: array<vec2<i32>, ROWS>;
    let near = unit + lane * K_VECTORS;
    let far = near + 32u * K_VECTORS;
    for (var batch = 0u; batch < 4u; batch++) {
#if K_TYPE == 0
        for (var half = 2u * batch; half < 2u * batch + 2u; half++) {
            let a = k_pool[near + half];
            let b = k_pool[far + half];
#repeat R ROWS
            {
                let first = query_codes[(half * ROWS + R) * 2u];
                let second = query_codes[(half * ROWS + R) * 2u + 1u];
                let high = vec2<i32>(add_dot(0, a, first), add_dot(0, b, first));
                sums[R] = 255 * high + vec2<i32>(add_dot(sums[R].x, a, second), add_dot(sums[R].y, b, second));
            }
#end
        }
#else
        let a = k_levels(key_codes(near, batch), 128u);
        let b = k_levels(key_codes(far, batch), 128u);
        let a_low = vec4<u32>(a.even.x, a.odd.x, a.even.y, a.odd.y);
        let a_high = vec4<u32>(a.even.z, a.odd.z, a.even.w, a.odd.w);
        let b_low = vec4<u32>(b.even.x, b.odd.x, b.even.y, b.odd.y);
        let b_high = vec4<u32>(b.even.z, b.odd.z, b.even.w, b.odd.w);
#repeat R ROWS
        {
            let q = query_codes[batch * 2u * ROWS + R];
            let p = query_codes[(batch * 2u + 1u) * ROWS + R];
            sums[R].x = add_dot(add_dot(sums[R].x, a_low, q), a_high, p);
            sums[R].y = add_dot(add_dot(sums[R].y, b_low, q), b_high, p);
        }
#end
#endif
#if K_BLOCKS == 4
        add_scores(&scores, &sums, key_scale_words(unit, batch, lane), batch, lane);
#endif
    }
#if K_BLOCKS == 1
    add_scores(&scores, &sums, first_scales, 0u, lane);
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
