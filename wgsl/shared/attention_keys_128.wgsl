// Scores of the keys of a chunk for coded K of 128 values, by vectors of four words; docs/exact-attention.md, section 6.
//
// An invocation has key t of each of the four tiles: component j of its vectors is tile j.

#define DIM_K 128u
#import attention_queries
#import spread
#if K_TYPE != 0
#import levels TYPE=K_TYPE levels=k_levels
#endif

// Vectors of codes of a token, and octets in a line: what one vector (of turbo3: of the low bits) holds.
#if K_TYPE == 0
#define K_VECTORS 8u
#define LINE 2
#define LINES 8u
#endif
#if K_TYPE == 1
#define K_VECTORS 4u
#define LINE 4
#define LINES 4u
#endif
#if K_TYPE == 2
#define K_VECTORS 2u
#define LINE 8
#define LINES 2u
#endif
#if K_TYPE == 3
#define K_VECTORS 3u
#define LINE 8
#define LINES 2u
#endif
#if K_TYPE == 4
#define K_VECTORS 4u
#define LINE 4
#define LINES 4u
#endif
// Lines of a scale block.
#ifdef K_TURBO
const K_BLOCKS = 1u;
#else
const K_BLOCKS = 4u;
#endif

struct Scores {
    row: array<vec4<i32>, ROWS>,
}

// Scales of the four keys, half `t % 2` of word `word` of the vectors at `at`.
fn key_scales(at: vec4<u32>, word: u32, t: u32) -> vec4<f32> {
    let a = unpack2x16float(k_pool[at.x][word]);
    let b = unpack2x16float(k_pool[at.y][word]);
    let c = unpack2x16float(k_pool[at.z][word]);
    let d = unpack2x16float(k_pool[at.w][word]);
    let first = vec4<f32>(a.x, b.x, c.x, d.x);
    let second = vec4<f32>(a.y, b.y, c.y, d.y);
    return select(first, second, (t & 1u) != 0u);
}

// Q16 log2 scores of the invocation's four keys, for every row.
fn key_scores(units: vec4<u32>, t: u32) -> Scores {
    let unit = units / 4u;
    let token = unit + vec4<u32>(t * K_VECTORS);
    let scales = unit + vec4<u32>(TILE * K_VECTORS + t / 8u);
    var scores: Scores;
    for (var block = 0u; block < K_BLOCKS; block++) {
        var sums: array<vec4<i32>, ROWS>;
        for (var line = block * (LINES / K_BLOCKS); line < (block + 1u) * (LINES / K_BLOCKS); line++) {
            let at = token + vec4<u32>(line);
            let v0 = k_pool[at.x];
            let v1 = k_pool[at.y];
            let v2 = k_pool[at.z];
            let v3 = k_pool[at.w];
#if K_TYPE == 3
            let high = line * 2u;
            let h0 = vec2<u32>(k_pool[token.x + 2u][high], k_pool[token.x + 2u][high + 1u]);
            let h1 = vec2<u32>(k_pool[token.y + 2u][high], k_pool[token.y + 2u][high + 1u]);
            let h2 = vec2<u32>(k_pool[token.z + 2u][high], k_pool[token.z + 2u][high + 1u]);
            let h3 = vec2<u32>(k_pool[token.w + 2u][high], k_pool[token.w + 2u][high + 1u]);
#endif
#repeat C LINE
            {
#if K_TYPE == 0
                let even = vec4<u32>(v0[C * 2], v1[C * 2], v2[C * 2], v3[C * 2]);
                let odd = vec4<u32>(v0[C * 2 + 1], v1[C * 2 + 1], v2[C * 2 + 1], v3[C * 2 + 1]);
                let levels = Levels(even, odd);
#else
#if LINE == 4
                let codes = vec4<u32>(v0[C], v1[C], v2[C], v3[C]);
#else
                const word = C / 2;
                const low = u32(C % 2) * 16u;
                let x = (vec4<u32>(v0[word], v1[word], v2[word], v3[word]) >> vec4<u32>(low)) & vec4<u32>(0xffffu);
                var codes = vec4<u32>(spread_pairs(x.x), spread_pairs(x.y), spread_pairs(x.z), spread_pairs(x.w));
#if K_TYPE == 3
                let y = (vec4<u32>(h0[C / 4], h1[C / 4], h2[C / 4], h3[C / 4]) >> vec4<u32>(u32(C % 4) * 8u)) & vec4<u32>(0xffu);
                codes |= vec4<u32>(spread_bits(y.x), spread_bits(y.y), spread_bits(y.z), spread_bits(y.w));
#endif
#endif
                let levels = k_levels(codes, 128u);
#endif
                let place = (line * u32(LINE) + u32(C)) * ROWS;
#repeat R ROWS
                {
                    let q = query_octets[place + R];
#if K_TYPE == 0
                    sums[R] += 255 * (dots(levels.even, q.x) + dots(levels.odd, q.y));
                    sums[R] += dots(levels.even, q.z) + dots(levels.odd, q.w);
#else
                    sums[R] += dots(levels.even, q.x) + dots(levels.odd, q.y);
#endif
                }
#end
            }
#end
        }
        let scale = key_scales(scales + vec4<u32>(block * (TILE / 8u)), (t / 2u) & 3u, t);
#repeat R ROWS
        {
            let index = rows[R].x;
            let mult = mults[select(index, 0u, index == ABSENT) * K_BLOCKS + block];
            let product = opaque4(vec4<f32>(sums[R]) * scale);
            scores.row[R] += vec4<i32>(round(clamp(product * mult, vec4<f32>(-LIMIT), vec4<f32>(LIMIT))));
        }
#end
    }
    return scores;
}
