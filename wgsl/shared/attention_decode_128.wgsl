// The body of attention_decode for heads of 128 values: a workgroup has a chunk, 32 lanes have a tile of it.
//
// Lane l of a tile has its keys l and l + 32, and of the values 4 l .. 4 l + 3. With subgroups of 32 a tile needs no
// other's results until its sums are folded.
// Words: K_TYPE and V_TYPE 0 q8_0, 1 q4_0, 2 to 4 turbo2 to turbo4; ROWS of a workgroup.

#if V_TYPE == 0
#define V_WORDS 32u
#define V_SECTORS 8
#define V_BLOCKS 4
#endif
#if V_TYPE == 1
#define V_WORDS 16u
#define V_SECTORS 4
#define V_BLOCKS 4
#endif
#if V_TYPE == 2
#define V_WORDS 8u
#define V_SECTORS 2
#define V_BLOCKS 1
#endif
#if V_TYPE == 3
#define V_WORDS 12u
#define V_SECTORS 3
#define V_BLOCKS 1
#endif
#if V_TYPE == 4
#define V_WORDS 16u
#define V_SECTORS 4
#define V_BLOCKS 1
#endif

#import attention_job
#import attention_rows THREADS=128u
#import exp2_exact
#import fold
#import grid
#import levels_of_planes
#import opaque
#import soft_cap
#import attention_keys_128
#import attention_softmax_128
#import attention_values_128
#ifdef SHORT
#import activation_codes_lanes
#import combine_rows
#import head_of_sums_128
#endif

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(2) var<storage, read> queries: array<u32>;
@group(0) @binding(3) var<storage, read> mults: array<f32>;
@group(0) @binding(4) var<storage, read> k_pool: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> v_pool: array<u32>;
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
const LIMIT = 67108864.0;

// Of every row and tile: largest exponent, sum of the mantissas.
var<workgroup> exponents: array<atomic<i32>, ROWS * 4>;
var<workgroup> mantissas: array<atomic<u32>, ROWS * 4>;
// Of every scale block of V, row and tile: largest exponent of the weights.
var<workgroup> frames: array<atomic<i32>, V_BLOCKS * ROWS * 4>;
// Packed weights: of tile, eight keys, row and scale block. Then value sums: of tile, row and lane.
var<workgroup> scratch: array<vec4<u32>, ROWS * 128>;

#ifdef SHORT
// The results of all rows, there being no other chunk.
fn finish_rows(t: u32) {
    let lane = t & 31u;
    for (var first = 0u; first < ROWS; first += 4u) {
        // Lanes of a subgroup stay together.
        let row = min(first + t / 32u, ROWS - 1u);
        let index = rows[row].x;
        let folded = fold_row(row, lane);
        let denominator = with_sink(fold_denominators(row), select(index, 0u, index == ABSENT));
        let head = head_of_sums(folded.sum, folded.frame, denominator, normaliser(denominator), lane);
        store_codes_lanes(head, index * 32u + lane, first + t / 32u < ROWS && index != ABSENT);
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
    load_queries(sequence, work, t);
    for (var chunk = work.first_chunk; chunk < work.end_chunk; chunk++) {
        // A tile behind the last key is read as the last one and left out.
        let block = tables[sequence.table + min(chunk * 4u + tile, last / TILE)];
        let k_unit = (block * params.k_block + params.k_first + work.kv_head * params.k_unit) / 4u;
        let v_unit = block * params.v_block + params.v_first + work.kv_head * params.v_unit;
        // Read before they are needed: the loops over them would wait for one part after the other.
        let touched = touch_keys(k_unit, lane) ^ touch_values(v_unit, lane);
        let key_scales = key_scale_words(k_unit, 0u, lane);
        let value_scales = value_scale_words(v_unit, lane);
        // Queries are there, and the chunk before is done with workgroup memory.
        workgroupBarrier();
        let position = (chunk * 4u + tile) * TILE;
        let place = (chunk - work.seen_chunk) * CHUNK + tile * TILE + lane;
        let scores = with_key_bias(key_scores(key_scales, k_unit, lane), place);
        // Never, but without it what is touched would not be read.
        if params.zero != 0u && touched == 1u {
            scratch[0].x = touched;
        }
        let powers = powers_of(scores, vec2<u32>(position, position + 32u) + lane, sees_whole(sequence, position));
        weigh_keys(powers, value_scales, t, subgroup_size);
        workgroupBarrier();
        // None of a tile behind the last key.
        let keys = max(last + 1u, position) - position;
        let sums = sum_values(v_unit, tile, keys, lane);
        workgroupBarrier();
#repeat R ROWS
        scratch[(tile * ROWS + R) * 32u + lane] = bitcast<vec4<u32>>(sums.row[R]);
#end
        workgroupBarrier();
#ifdef SHORT
        finish_rows(t);
#else
        fold_tiles(chunk - work.seen_chunk, t);
#endif
    }
}
