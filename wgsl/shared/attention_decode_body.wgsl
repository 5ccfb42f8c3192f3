// The body of attention_decode for heads of any size: bindings, rows, and the loop over the chunks of a workgroup.
//
// Words: K_TYPE and V_TYPE 0 q8_0, 1 q4_0, 2 to 4 turbo2 to turbo4, 5 f16; ROWS of a workgroup, OCTETS of the largest K
// head.

#define DIM_V params.head_dim_v
#define V_WORDS params.v_words
#define V_BLOCKS params.v_blocks

#import attention_job
#import attention_rows THREADS=64u
#import exp2_exact
#import fold
#import grid
#import levels_of_planes
#import merge_tiles merge=merge_exponents TO=exponents ELEMENT=i32 ATOMIC=atomicMax IDLE=LOWEST
#import merge_tiles merge=merge_frames TO=frames ELEMENT=i32 ATOMIC=atomicMax IDLE=LOWEST
#import merge_tiles merge=merge_mantissas TO=mantissas ELEMENT=u32 ATOMIC=atomicAdd IDLE=0u
#import opaque
#import scale_block
#import soft_cap
#if K_TYPE != 5
#import attention_keys
#else
#import attention_keys_f16
#endif
#if V_TYPE != 5
#import attention_values
#else
#import attention_values_f16
#endif

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(2) var<storage, read> queries: array<u32>;
@group(0) @binding(3) var<storage, read> mults: array<f32>;
@group(0) @binding(4) var<storage, read> k_pool: array<u32>;
@group(0) @binding(5) var<storage, read> v_pool: array<u32>;
@group(0) @binding(6) var<storage, read_write> partials: array<u32>;
@group(0) @binding(7) var<storage, read> key_bias: array<i32>;
#params AttentionParams

// Below every exponent.
const LOWEST = -0x40000000;
const LIMIT = 67108864.0;

// Of every row and tile: largest exponent, sum of the mantissas.
var<workgroup> exponents: array<atomic<i32>, ROWS * 4>;
var<workgroup> mantissas: array<atomic<u32>, ROWS * 4>;
// Of every row and tile, for a scale block of V and the next: largest exponent of the weights.
var<workgroup> frames: array<atomic<i32>, ROWS * 8>;
// Weights of every row and key; later value sums of every row, place in an octet and item.
var<workgroup> scratch: array<i32, ROWS * ROW_WORDS>;
const ROW_WORDS = 544u;
#if V_TYPE != 5
// Low and high halves of the weights of four keys.
var<workgroup> packed: array<vec2<u32>, ROWS * 64>;
#endif

// Adds what the keys' bias gives, if there is one, to the scores of a chunk's keys.
fn with_key_bias(stored: Scores, slot: u32, t: u32) -> Scores {
    var scores = stored;
    if params.key_bias != 0u {
#repeat R ROWS
        {
            let index = rows[R].x;
            let at = select(index, 0u, index == ABSENT) * params.key_bias + slot * CHUNK + t;
            let part = vec4<i32>(key_bias[at], key_bias[at + TILE], key_bias[at + 2u * TILE], key_bias[at + 3u * TILE]);
            scores.row[R] += part;
        }
#end
    }
    return scores;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let work = work_of(linear_workgroup(id, size));
    if work.first_chunk >= work.end_chunk {
        return;
    }
    let sequence = sequences[work.sequence];
    let last = sequence.start + sequence.tokens - 1u;
    find_rows(sequence, work.kv_head, work.first_row, t);
    workgroupBarrier();
    load_queries(t);
    for (var chunk = work.first_chunk; chunk < work.end_chunk; chunk++) {
        if t < ROWS * 4u {
            atomicStore(&exponents[t], LOWEST);
            atomicStore(&mantissas[t], 0u);
            atomicStore(&frames[t], LOWEST);
        }
        workgroupBarrier();
        // The blocks of the four tiles; keys behind the last one that is seen are read as that one and left out.
        let tile = vec4<u32>(0u, 1u, 2u, 3u) + vec4<u32>(chunk * 4u);
        let known = min(tile, vec4<u32>(last / TILE)) + vec4<u32>(sequence.table);
        let blocks = vec4<u32>(tables[known.x], tables[known.y], tables[known.z], tables[known.w]);
        let k_units = blocks * params.k_block + vec4<u32>(params.k_first + work.kv_head * params.k_unit);
        let v_units = blocks * params.v_block + vec4<u32>(params.v_first + work.kv_head * params.v_unit);
        let scores = with_key_bias(key_scores(k_units, t), chunk - work.seen_chunk, t);
        let position = tile * TILE + vec4<u32>(t);
        add_values(scores, position, v_units, chunk - work.seen_chunk, t);
        workgroupBarrier();
    }
}
