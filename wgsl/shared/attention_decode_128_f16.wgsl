// The body of attention_decode_f16 for f16 heads of 128 values: a workgroup has a chunk, 32 lanes have a tile of it.
//
// Scores: 16 lanes have a key, eight values each, and their queries in registers. Weights: lane l has keys l and l + 32.
// Values: lane l has 4 l .. 4 l + 3. Subgroups of 32 or more.
// Words: ROWS of a workgroup, ROW_PAIRS half of it, rounded up.

#import attention_job
#import attention_rows THREADS=128u
#import exp2_exact
#import fold
#import grid
#import soft_cap
#import attention_powers_128
#ifdef SHORT
#import activation_codes_lanes
#import combine_rows
#import float_bits
#import opaque
#endif

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(2) var<storage, read> queries: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> mults: array<f32>;
@group(0) @binding(4) var<storage, read> k_pool: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> v_pool: array<vec2<u32>>;
#ifdef SHORT
@group(0) @binding(6) var<storage, read> sinks: array<f32>;
@group(0) @binding(7) var<storage, read_write> codes: array<u32>;
@group(0) @binding(8) var<storage, read_write> heads: array<vec4<f32>>;
#else
@group(0) @binding(6) var<storage, read_write> partials: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read> key_bias: array<i32>;
#endif
#params AttentionParams

// Below every exponent.
const LOWEST = -0x40000000;
const LIMIT = 536870912.0;
// Vectors of a partial: l, e of the denominator, e of the sums, 0; then the sums.
const PARTIAL_VECTORS = 33u;

// Scores, then weights: of four keys and row. Then value sums: of tile, two rows and lane. Few bytes: a multiprocessor
// runs as many workgroups as its memory has room for.
const SCRATCH = max(ROWS * 64, 256);
var<workgroup> scratch: array<vec4<f32>, SCRATCH>;
// Of every row and tile: largest exponent, sum of the mantissas.
var<workgroup> exponents: array<i32, ROWS * 4>;
var<workgroup> mantissas: array<u32, ROWS * 4>;

struct Queries {
    low: array<vec4<f32>, ROWS>,
    high: array<vec4<f32>, ROWS>,
}

// Values 8 `part` .. 8 `part` + 7 of the rows' queries.
fn load_queries(part: u32) -> Queries {
    var q: Queries;
#repeat R ROWS
    {
        let index = rows[R].x;
        let at = select(index, 0u, index == ABSENT) * 32u + 2u * part;
        q.low[R] = queries[at];
        q.high[R] = queries[at + 1u];
    }
#end
    return q;
}

fn dot_key(words: vec4<u32>, low: vec4<f32>, high: vec4<f32>) -> f32 {
    let a = unpack2x16float(words.x);
    let b = unpack2x16float(words.y);
    let c = unpack2x16float(words.z);
    let d = unpack2x16float(words.w);
    let first = fma(b.y, low.w, fma(b.x, low.z, fma(a.y, low.y, a.x * low.x)));
    return fma(d.y, high.w, fma(d.x, high.z, fma(c.y, high.y, fma(c.x, high.x, first))));
}

// The sum over 16 neighbouring lanes of component 2 (lane & 1) + (lane >> 1 & 1).
fn sum_lanes(x: vec4<f32>, lane: u32) -> f32 {
    let odd = (lane & 1u) != 0u;
    let two = select(x.xy, x.zw, odd) + subgroupShuffleXor(select(x.zw, x.xy, odd), 1u);
    let second = (lane & 2u) != 0u;
    let one = select(two.x, two.y, second) + subgroupShuffleXor(select(two.y, two.x, second), 2u);
    let half = one + subgroupShuffleXor(one, 4u);
    return half + subgroupShuffleXor(half, 8u);
}

// Scores of the first `keys` keys of the tile whose K unit starts at vector `unit`, to workgroup memory.
fn score_keys(q: Queries, unit: u32, tile: u32, keys: u32, lane: u32) {
    let first = (lane / 16u) * 32u;
    let at = unit + first * 16u + (lane & 15u);
    let place = (tile * 16u + first / 4u) * ROWS;
    let component = 2u * (lane & 1u) + ((lane >> 1u) & 1u);
    for (var key = 0u; key < min(keys, 32u); key += 4u) {
        let a = k_pool[at + key * 16u];
        let b = k_pool[at + key * 16u + 16u];
        let c = k_pool[at + key * 16u + 32u];
        let d = k_pool[at + key * 16u + 48u];
#repeat R ROWS
        {
            let parts = vec4<f32>(
                dot_key(a, q.low[R], q.high[R]),
                dot_key(b, q.low[R], q.high[R]),
                dot_key(c, q.low[R], q.high[R]),
                dot_key(d, q.low[R], q.high[R]),
            );
            let sum = sum_lanes(parts, lane);
            if (lane & 12u) == 0u {
                scratch[place + key / 4u * ROWS + R][component] = sum;
            }
        }
#end
    }
}

// Q16 log2 scores of keys `lane` and `lane + 32` of the tile.
fn own_scores(tile: u32, lane: u32) -> Scores {
    var own: Scores;
#repeat R ROWS
    {
        let at = (tile * 16u + lane / 4u) * ROWS + R;
        let scores = vec2<f32>(scratch[at][lane & 3u], scratch[at + 8u * ROWS][lane & 3u]);
        let scaled = scores * params.score_factor * 65536.0;
        // Nan is the lowest score.
        let kept = select(vec2<f32>(-LIMIT), min(scaled, vec2<f32>(LIMIT)), scaled > vec2<f32>(-LIMIT));
        own.row[R] = vec2<i32>(round(kept));
    }
#end
    return own;
}

// 2^k for k <= 0, 0 below the normal range.
fn power_of_two(k: i32) -> f32 {
    return bitcast<f32>(select(0u, u32(127 + max(k, -127)) << 23u, k > -127));
}

// Weights of the tile, in the frame of its largest exponent, and its denominator to workgroup memory.
fn weigh_keys(own: Scores, position: u32, tile: u32, lane: u32) {
    let powers = powers_of(own, vec2<u32>(position, position + 32u), false);
#repeat R ROWS
    {
        let seen = powers.mantissa[R] != vec2<u32>(0u);
        let e = select(vec2<i32>(LOWEST), powers.exponent[R], seen);
        var top = max(e.x, e.y);
#repeat S 5
        top = max(top, subgroupShuffleXor(top, 1u << S));
#end
        let drop = min(powers.exponent[R] - vec2<i32>(top), vec2<i32>(0));
        let part = powers.mantissa[R] >> min(bitcast<vec2<u32>>(-drop), vec2<u32>(31u));
        var sum = part.x + part.y;
#repeat S 5
        sum += subgroupShuffleXor(sum, 1u << S);
#end
        if lane == 0u {
            exponents[R * 4u + tile] = top;
            mantissas[R * 4u + tile] = sum;
        }
        let p = vec2<f32>(bitcast<vec2<i32>>(powers.mantissa[R])) * 0x1p-23f;
        let at = (tile * 16u + lane / 4u) * ROWS + R;
        scratch[at][lane & 3u] = p.x * power_of_two(drop.x);
        scratch[at + 8u * ROWS][lane & 3u] = p.y * power_of_two(drop.y);
    }
#end
}

// One more than there are rows: they are folded two by two.
struct Sums {
    row: array<vec4<f32>, ROWS + 1>,
}

// Sums of the lane's four values over the first `keys` keys of a tile; `unit` in vectors of two words.
fn sum_values(unit: u32, tile: u32, keys: u32, lane: u32) -> Sums {
    var sums: Sums;
    let at = unit + lane;
    var next = array<vec2<u32>, 4>(v_pool[at], v_pool[at + 32u], v_pool[at + 64u], v_pool[at + 96u]);
    for (var four = 0u; four < min((keys + 3u) / 4u, 16u); four++) {
        let words = next;
        // Read ahead, so that other keys' work hides the wait.
        let ahead = at + min(four + 1u, 15u) * 128u;
        next = array<vec2<u32>, 4>(v_pool[ahead], v_pool[ahead + 32u], v_pool[ahead + 64u], v_pool[ahead + 96u]);
        let weights = (tile * 16u + four) * ROWS;
#repeat K 4
        {
            let value = vec4<f32>(unpack2x16float(words[K].x), unpack2x16float(words[K].y));
#repeat R ROWS
            sums.row[R] = fma(value, vec4<f32>(scratch[weights + R][K]), sums.row[R]);
#end
        }
#end
    }
    return sums;
}

// A lane's four sums of a chunk in the frame of its largest exponent, and the denominator.
struct Folded {
    sum: vec4<f32>,
    e: i32,
    l: Frame,
}

// Adds the tiles' sums of a row, which invocation `t` of those of two rows has, in order.
fn fold_row(row: u32, t: u32) -> Folded {
    let at = row * 4u;
    let e = max(max(exponents[at], exponents[at + 1u]), max(exponents[at + 2u], exponents[at + 3u]));
    var sum = vec4<f32>(0.0);
    var l = Frame(0, 0u);
#repeat J 4
    sum = fma(scratch[J * 64u + t], vec4<f32>(power_of_two(exponents[at + J] - e)), sum);
    l = fold_denominator(l, Frame(exponents[at + J], mantissas[at + J]));
#end
    return Folded(sum, e, l);
}

#ifdef SHORT
// The results of rows `first` and `first` + 1, there being no other chunk: as attention_combine_f16 makes them.
fn finish_rows(first: u32, t: u32) {
    if t >= 64u {
        return;
    }
    // Lanes of a subgroup stay together.
    let row = min(first + t / 32u, ROWS - 1u);
    let index = rows[row].x;
    let folded = fold_row(row, t);
    var sink = Frame(LOWEST, 0u);
    if params.sinks != 0u {
        sink = sink_of(sinks[select(index, 0u, index == ABSENT) % (params.kv_heads * params.group)]);
    }
    let e = max(folded.e, sink.e);
    let sum = folded.sum * scale_pow2(1.0, folded.e - e);
    let l = scale_pow2(f32(folded.l.bound), folded.l.e - e) + scale_pow2(f32(sink.bound), sink.e - e);
    let head = select(sum / (l * 0x1p-23f), vec4<f32>(0.0), l == 0.0);
    store_codes_lanes(head, index * 32u + (t & 31u), first + t / 32u < ROWS && index != ABSENT);
}
#else
// Writes the partials of rows `first` and `first` + 1.
fn fold_tiles(first: u32, slot: u32, t: u32) {
    let lane = t & 31u;
    let row = first + t / 32u;
    if t < 64u && row < ROWS {
        let index = rows[row].x;
        if index == ABSENT {
            return;
        }
        let folded = fold_row(row, t);
        let partial = (index * params.slots + slot) * PARTIAL_VECTORS;
        partials[partial + 1u + lane] = bitcast<vec4<u32>>(folded.sum);
        if lane == 0u {
            partials[partial] = vec4<u32>(folded.l.bound, bitcast<u32>(folded.l.e), bitcast<u32>(folded.e), 0u);
        }
    }
}
#endif

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let t = subgroup * subgroup_size + subgroup_lane;
    let lane = t & 31u;
    let tile = t / 32u;
    let work = work_of(linear_workgroup(id, size));
    if work.first_chunk >= work.end_chunk {
        return;
    }
    let sequence = sequences[work.sequence];
    let last = sequence.start + sequence.tokens - 1u;
    find_rows(sequence, work.kv_head, work.first_row, t);
    workgroupBarrier();
    let q = load_queries(lane & 15u);
    for (var chunk = work.first_chunk; chunk < work.end_chunk; chunk++) {
        // A tile behind the last key is read as the last one and left out.
        let block = tables[sequence.table + min(chunk * 4u + tile, last / TILE)];
        let k_unit = block * params.k_block + params.k_first + work.kv_head * params.k_unit;
        let v_unit = block * params.v_block + params.v_first + work.kv_head * params.v_unit;
        // None of a tile behind the last key.
        let position = (chunk * 4u + tile) * TILE;
        let keys = max(last + 1u, position) - position;
        score_keys(q, k_unit / 4u, tile, keys, lane);
        workgroupBarrier();
        let own = with_key_bias(own_scores(tile, lane), (chunk - work.seen_chunk) * CHUNK + tile * TILE + lane);
        workgroupBarrier();
        weigh_keys(own, position + lane, tile, lane);
        workgroupBarrier();
        let sums = sum_values(v_unit / 2u, tile, keys, lane);
#repeat P ROW_PAIRS
        workgroupBarrier();
        scratch[tile * 64u + lane] = sums.row[P * 2];
        scratch[tile * 64u + 32u + lane] = sums.row[P * 2 + 1];
        workgroupBarrier();
#ifdef SHORT
        finish_rows(P * 2u, t);
#else
        fold_tiles(P * 2u, chunk - work.seen_chunk, t);
#endif
#end
        workgroupBarrier();
    }
}
