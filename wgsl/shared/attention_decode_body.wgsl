// The body of attention_decode for heads of any size: bindings, rows, and the loop over the chunks of a workgroup.
//
// Words: K_TYPE and V_TYPE 0 q8_0, 1 q4_0, 2 to 4 turbo2 to turbo4, 5 f16; ROWS of a workgroup, OCTETS of the largest K
// head.

#define DIM_V params.head_dim_v
#define V_WORDS params.v_words
#define V_BLOCKS params.v_blocks

#import attention_job
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

const ABSENT = 0xffffffffu;
// Below every exponent.
const LOWEST = -0x40000000;
const LIMIT = 67108864.0;

// Of every row: its index in queries and partials (ABSENT if there is none), first key seen, last key seen + 1.
var<workgroup> rows: array<vec3<u32>, ROWS>;
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

// Fills in `rows` for the workgroup's K/V head and rows from `first` on.
fn find_rows(sequence: Sequence, kv_head: u32, first: u32, t: u32) {
    if t >= ROWS {
        return;
    }
    let row = first + t;
    var token = 0u;
    if sequence.tokens > 1u {
        token = row / params.group;
    }
    if token < sequence.tokens && row - token * params.group < params.group {
        let head = kv_head * params.group + row - token * params.group;
        let index = (sequence.first + token) * params.kv_heads * params.group + head;
        let position = sequence.start + token;
        rows[t] = vec3<u32>(index, first_seen(position), position + 1u);
    } else {
        rows[t] = vec3<u32>(ABSENT, 0u, 0u);
    }
}

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
    let workgroup = linear_workgroup(id, size);
    let span = workgroup % params.spans;
    let group = workgroup / params.spans;
    let first_row = (group % params.row_groups) * ROWS;
    let kv_head = (group / params.row_groups) % params.kv_heads;
    let sequence_index = group / (params.row_groups * params.kv_heads);
    if sequence_index >= params.sequences {
        return;
    }
    let sequence = sequences[sequence_index];
    let first_chunk = first_seen(sequence.start) / CHUNK;
    let last = sequence.start + sequence.tokens - 1u;
    var chunk = first_chunk + span * params.span_chunks;
    let end = min(chunk + params.span_chunks, last / CHUNK + 1u);
    if chunk >= end || first_row >= sequence.tokens * params.group {
        return;
    }
    find_rows(sequence, kv_head, first_row, t);
    workgroupBarrier();
    load_queries(t);
    for (; chunk < end; chunk++) {
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
        let k_units = blocks * params.k_block + vec4<u32>(params.k_first + kv_head * params.k_unit);
        let v_units = blocks * params.v_block + vec4<u32>(params.v_first + kv_head * params.v_unit);
        let scores = with_key_bias(key_scores(k_units, t), chunk - first_chunk, t);
        let position = tile * TILE + vec4<u32>(t);
        add_values(scores, position, v_units, chunk - first_chunk, t);
        workgroupBarrier();
    }
}
