// Folds the partials of attention_decode over coded V in order of the chunks, normalises and rotates back.
// docs/exact-attention.md, sections 9 and 10.
//
// sequences: as in attention_decode
// partials: of attention_decode
// sinks: one logit per query head (params.sinks = 1), else not read
// y: rows of head_dim_v f32
// grid: a workgroup of 128 invocations per row
// class: Exact
// twin: crates/turbo-cpu/src/attention/attention_combine.rs

#import attention_job
#import combine_rows
#import exp2_exact
#import fold
#import opaque
#import grid
#import rotate_head THREADS=128u MAX_HEAD=768
#import scale_block

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> partials: array<u32>;
@group(0) @binding(2) var<storage, read> sinks: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#params AttentionParams

const UNROLL = 8u;
const BATCH_WORDS = 2048u;
const MAX_BLOCKS = 33u;

// Of every chunk of a batch: frames as partials have them, then the shifts of the fold.
var<workgroup> frames: array<vec2<u32>, BATCH_WORDS / 2>;
// State of the denominator and of every scale block, and its exponent at the end.
var<workgroup> states: array<Frame, MAX_BLOCKS>;
var<workgroup> sums: array<i32, 768>;

#if V_TYPE == 0
const WEIGHT_BITS = 14;
#else
const WEIGHT_BITS = 10;
#endif
#if V_TYPE == 2
const SHIFTS = vec4<i32>(8, 9, 9, 10);
#else
const SHIFTS = vec4<i32>(8, 8, 8, 9);
#endif

// Scale block of value i.
fn block_of(i: u32, d: u32) -> u32 {
#ifdef TURBO
    let n = group_at(i, d);
    let first = i & ~(n - 1u);
    let whole = d & ~127u;
    return select((whole >> 7u) + countOneBits((first - whole) >> 4u), first >> 7u, i < whole);
#else
    return i / 32u;
#endif
}

// Replaces the frames of a batch by the shifts of its folds; invocation 0 has the denominator, b + 1 block b.
fn scan_frames(chunks: u32, t: u32) {
    let entries = params.v_blocks + 1u;
    if t >= entries {
        return;
    }
    var state = states[t];
    for (var chunk = 0u; chunk < chunks; chunk++) {
        let at = chunk * entries + t;
        let words = frames[at];
        if t == 0u {
            state = fold_denominator(state, Frame(bitcast<i32>(words.y), words.x));
        } else {
            let join = join_frames(state, Frame(bitcast<i32>(words.x), words.y));
            frames[at] = vec2<u32>(join.state, join.part);
            state = join.frame;
        }
    }
    states[t] = state;
}

// Folds value i of a batch of chunks, the first of which has its sums at `at`.
fn fold_batch(sum: i32, i: u32, at: u32, stride: u32, chunks: u32) -> i32 {
    let entries = params.v_blocks + 1u;
    let entry = block_of(i, params.head_dim_v) + 1u;
    var state = sum;
    var chunk = 0u;
    for (; chunk + UNROLL <= chunks; chunk += UNROLL) {
        var parts: array<i32, UNROLL>;
#repeat U 8
        parts[U] = bitcast<i32>(partials[at + (chunk + U) * stride]);
#end
#repeat U 8
        {
            let shifts = frames[(chunk + U) * entries + entry];
            state = shift_round(state, shifts.x) + shift_round(parts[U], shifts.y);
        }
#end
    }
    for (; chunk < chunks; chunk++) {
        let shifts = frames[chunk * entries + entry];
        state = shift_round(state, shifts.x) + shift_round(bitcast<i32>(partials[at + chunk * stride]), shifts.y);
    }
    return state;
}

// The head, still rotated, from the sums and states.
fn normalise_sums(t: u32) {
    let d = params.head_dim_v;
    let denominator = states[0];
    let l = max(denominator.bound, 1u);
    let el2 = 16 - i32(countLeadingZeros(l));
    let l16 = select(l << u32(max(-el2, 0)), l >> u32(max(el2, 0)), el2 >= 0);
    let whole = 0x80000000u / l16;
    let rest = 0x80000000u % l16;
    let factor = f32(i32(min((whole << 15u) + (rest << 15u) / l16, 0x7fffffffu)));
    let exponent = -(denominator.e - 23) - el2 - 46 - WEIGHT_BITS - 44;
    for (var i = t; i < d; i += 128u) {
        let frame = states[block_of(i, d) + 1u];
#ifdef TURBO
        let shift = SHIFTS[countTrailingZeros(group_at(i, d)) - 4u];
#else
        let shift = 0;
#endif
        let value = scale_pow2(f32(sums[i]) * factor, frame.e + exponent - shift);
        head[i] = select(value, 0.0, denominator.bound == 0u || frame.bound == 0u);
    }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let seen = slots_of(row);
    if seen.y == 0u {
        return;
    }
    let d = params.head_dim_v;
    let entries = params.v_blocks + 1u;
    let head_words = partial_head(params.v_blocks);
    let stride = head_words + d;
    let batch = BATCH_WORDS / (2u * entries);
    if t < entries {
        states[t] = Frame(0, 0u);
    }
    for (var i = t; i < d; i += 128u) {
        sums[i] = 0;
    }
    for (var first = seen.x; first < seen.x + seen.y; first += batch) {
        let chunks = min(batch, seen.x + seen.y - first);
        let at = (row * params.slots + first) * stride;
        workgroupBarrier();
        for (var i = t; i < chunks * entries; i += 128u) {
            let from_word = at + (i / entries) * stride + (i % entries) * 2u;
            frames[i] = vec2<u32>(partials[from_word], partials[from_word + 1u]);
        }
        workgroupBarrier();
        scan_frames(chunks, t);
        workgroupBarrier();
        for (var i = t; i < d; i += 128u) {
            sums[i] = fold_batch(sums[i], i, at + head_words + i, stride, chunks);
        }
    }
    if t == 0u && params.sinks != 0u {
        states[0] = fold_denominator(states[0], sink_of(sinks[row % (params.kv_heads * params.group)]));
    }
    workgroupBarrier();
    normalise_sums(t);
    workgroupBarrier();
    rotate_head(d, SIGNS_2, SIGNS_1, t);
    for (var i = t; i < d; i += 128u) {
        let n = group_at(i, d);
        y[row * d + i] = scale_pow2(head[i] * inverse_root(n), i32(field_at(i, n)) - 127);
    }
}
