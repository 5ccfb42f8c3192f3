// The body of attention_combine for heads of 128 values: everything that depends on their size is a constant.
//
// 32 invocations have a chunk at a time, four values each. Subgroups of 32 or more. store_quad(place, values, stored) takes
// the results.
// Words: V_TYPE, THREADS.

#if V_TYPE == 0
#define BLOCKS 4
#endif
#if V_TYPE == 1
#define BLOCKS 4
#endif
#if V_TYPE != 0
#if V_TYPE != 1
#define BLOCKS 1
#endif
#endif

#import combine_rows
#import exp2_exact
#import float_bits
#import fold
#import grid
#import head_of_sums_128
#import opaque
#import scan_frames FRAMES=640 MAX_ENTRIES=5
#import sum_chunks

// The denominator and the scale blocks.
const ENTRIES = BLOCKS + 1u;
// Vectors of a partial, and before its sums.
const HEAD_VECTORS = (2u * ENTRIES + 3u) / 4u;
const STRIDE = HEAD_VECTORS + 32u;
const SHARES = THREADS / 32u;
const BATCH = 128u;
const PLACES = SUMS / 128u;

// Frames of a batch of chunks, by the lanes that scan_entry has read them.
fn load_frames(entry: u32, at: u32, chunks: u32, lane: u32, lanes: u32) {
    var words: array<vec4<u32>, 4>;
#repeat U 4
    words[U] = partials[at + min(lane + U * lanes, chunks - 1u) * STRIDE + entry / 2u];
#end
#repeat U 4
    if lane + U * lanes < chunks {
        frames[(lane + U * lanes) * ENTRIES + entry] = select(words[U].xy, words[U].zw, (entry & 1u) != 0u);
    }
#end
}

// Folds the places of a lane's four values into the state and clears them; `count` events follow number `base`.
fn fold_vector(before: vec4<i32>, lane: u32, entry: u32, base: u32, count: u32) -> vec4<i32> {
    var state = before;
    for (var place = 0u; place <= count; place++) {
        let at = place * 128u + lane;
        if place != 0u {
            state = shift_round4(state, frames[(base + place - 1u) * ENTRIES + entry].y);
        }
        state += vec4<i32>(
            atomicLoad(&sums[at]),
            atomicLoad(&sums[at + 32u]),
            atomicLoad(&sums[at + 64u]),
            atomicLoad(&sums[at + 96u]),
        );
#repeat C 4
        atomicStore(&sums[at + C * 32u], 0);
#end
    }
    return state;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_size) lanes: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let t = subgroup * lanes + lane;
    let quad = t & 31u;
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let seen = slots_of(row);
    if seen.y == 0u {
        return;
    }
    let entry = quad / (32u / BLOCKS) + 1u;
    var state = vec4<i32>(0);
    var denominator = Frame(0, 0u);
    var scale = vec2<f32>(0.0);
    for (var first = 0u; first < seen.y; first += BATCH) {
        let chunks = min(BATCH, seen.y - first);
        let at = (row * params.slots + seen.x + first) * STRIDE;
        let each = (chunks + SHARES - 1u) / SHARES;
        let from_chunk = min((t / 32u) * each, chunks);
        let end = min(from_chunk + each, chunks);
        let share = Share(from_chunk, end, quad, entry, at + HEAD_VECTORS + quad, STRIDE);
        let ahead = read_ahead(share, from_chunk);
        for (var scanned = subgroup; scanned < ENTRIES; scanned += subgroups) {
            load_frames(scanned, at, chunks, lane, lanes);
            var start = Frame(0, 0u);
            if first != 0u {
                start = states[scanned];
            }
            scan_entry(start, scanned, ENTRIES, chunks, lane, lanes);
        }
        if first == 0u {
            for (var i = t; i < SUMS; i += THREADS) {
                atomicStore(&sums[i], 0);
            }
        }
        workgroupBarrier();
        if subgroup == 0u {
            denominator = with_sink(states[0], row);
            scale = normaliser(denominator);
        }
        var most = 0u;
#repeat B BLOCKS
        most = max(most, events[B + 1]);
#end
        for (var base = 0u; base == 0u || base < most; base += PLACES - 1u) {
            add_share(share, ahead, ENTRIES, 32u, base, PLACES);
            workgroupBarrier();
            if t < 32u {
                state = fold_vector(state, quad, entry, base, min(PLACES - 1u, max(events[entry], base) - base));
            }
            if base + PLACES - 1u < most || first + BATCH < seen.y {
                workgroupBarrier();
            }
        }
    }
    if subgroup != 0u {
        return;
    }
    let head = head_of_sums(state, states[entry], denominator, scale, quad);
    store_quad(row * 32u + quad, head, t < 32u);
}
