// The body of attention_prefill: bindings, rows, and the walk over the tiles.
//
// A workgroup has ROWS rows and up to 128 values of V, in units of 16. Invocation t is lane t % 16 of the rows
// 4 (t / 16) .. + 3: of these it has the keys 4 lane .. + 3 of a tile, and of every unit the value `lane`.
// Words: K_TYPE and V_TYPE as in attention_decode_body; K_QUANT, V_QUANT for q8_0 and q4_0; ROWS, THREADS = 4 ROWS; STAGE vectors of `stage`, at least 32 ROWS; WHOLE where heads are multiples of 128;
// SUBGROUP; OVERLAY where keys and values share memory; FLOAT with f16 on a side.

// Width of the weights; BLOCKS: scale blocks of a slice at most; TOGETHER: units whose sums are made at once, all of one
// block.
#if V_TYPE != 0
#define WEIGHT_BITS 10
#define WEIGHT_MAX 2047u
#define BOUND 0x1000000u
#else
#define WEIGHT_BITS 14
#define WEIGHT_MAX 32767u
#define BOUND 0x10000000u
#endif
#ifdef V_QUANT
#define BLOCKS 4
#define TOGETHER 2
#else
#ifdef WHOLE
#define BLOCKS 1
#define TOGETHER 8
#else
#define BLOCKS 3
#define TOGETHER 1
#endif
#endif

#import attention_job
#import attention_rows
#import exp2_exact
#import fold
#import grid
#import levels_of_planes
#import opaque
#import scale_block
#import soft_cap
#import prefill_slices
#import prefill_softmax
#if K_TYPE == 5
#import prefill_keys_f16
#else
#import prefill_keys
#endif
#if V_TYPE == 5
#import prefill_values_f16
#else
#import prefill_sums
#endif

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> tables: array<u32>;
@group(0) @binding(2) var<storage, read> queries: array<u32>;
@group(0) @binding(3) var<storage, read> mults: array<f32>;
@group(0) @binding(4) var<storage, read> k_pool: array<u32>;
@group(0) @binding(5) var<storage, read> v_pool: array<u32>;
@group(0) @binding(6) var<storage, read> sinks: array<f32>;
@group(0) @binding(7) var<storage, read> key_bias: array<i32>;
@group(0) @binding(8) var<storage, read_write> y: array<u32>;
#params AttentionParams

// Below every exponent.
const LOWEST = -0x40000000;
const LIMIT = 67108864.0;

// Levels of the keys (place_of_key), then of the values (place_of_value); at the end the rows' output heads.
var<workgroup> stage: array<vec4<u32>, STAGE>;
// Of every row the weights: per plane of bytes four vectors of 16 keys, for f16 V f32 of 4 keys a vector. At first the
// queries for f16 K, 4 f32 values a vector.
#ifdef FLOAT
var<workgroup> weights: array<vec4<u32>, ROWS * 16>;
#else
var<workgroup> weights: array<vec4<u32>, ROWS * 8>;
#endif

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
#ifdef SUBGROUP
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
#else
    @builtin(local_invocation_index) t: u32,
#endif
) {
#ifdef SUBGROUP
    let t = subgroup * subgroup_size + subgroup_lane;
#endif
    let slices = (params.head_dim_v + 127u) / 128u;
    var rest = linear_workgroup(id, size);
    let slice = rest % slices;
    rest /= slices;
    let kv_head = rest % params.kv_heads;
    rest /= params.kv_heads;
    let sequence_index = rest % params.sequences;
    rest /= params.sequences;
    if rest >= params.row_groups {
        return;
    }
    let sequence = sequences[sequence_index];
    // The last rows see the most keys and are best begun first.
    let first_row = (params.row_groups - 1u - rest) * ROWS;
    if first_row >= sequence.tokens * params.group {
        return;
    }
    let last_row = min(first_row + ROWS, sequence.tokens * params.group) - 1u;
    let lowest = first_seen(sequence.start + first_row / params.group);
    let behind = sequence.start + last_row / params.group + 1u;
    let bias_base = (first_seen(sequence.start) / CHUNK) * CHUNK;
    find_rows(sequence, kv_head, first_row, t);
    reset_softmax(t);
    workgroupBarrier();
    begin_queries(t);
#if V_TYPE == 5
    begin_values();
#endif
    for (var tile = lowest / TILE; tile * TILE < behind; tile++) {
        let block = tables[sequence.table + tile];
        let k_unit = block * params.k_block + params.k_first + kv_head * params.k_unit;
        let v_unit = block * params.v_block + params.v_first + kv_head * params.v_unit;
        key_scores(k_unit, t);
        find_powers(tile * TILE, bias_base, t);
        add_values(v_unit, slice, t);
        if (tile & 3u) == 3u || (tile + 1u) * TILE >= behind {
            fold_chunk(slice, t);
        }
    }
    write_output(slice, kv_head, t);
}
