// The body of attention_combine for heads of any size.
//
// Words: V_TYPE, TURBO, THREADS, SUBGROUP.

#import combine_rows
#import exp2_exact
#import fold
#import grid
#import normaliser
#import opaque
#import rotate_head MAX_HEAD=768
#import scan_frames FRAMES=512 MAX_ENTRIES=33
#import sum_chunks
#ifdef SUBGROUP
#import rotate_quads
#endif

const FRAME_LIMIT = 512u;

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

// Four values of the head, still rotated.
fn normalise_sums(quad: u32, d: u32) -> vec4<f32> {
    let denominator = states[0];
    let scale = normaliser(denominator);
    let frame = states[block_of(4u * quad, d) + 1u];
#ifdef TURBO
    let shift = SHIFTS[countTrailingZeros(group_at(4u * quad, d)) - 4u];
#else
    let shift = 0;
#endif
    let quads = d / 4u;
    let sum = vec4<i32>(
        atomicLoad(&sums[quad]),
        atomicLoad(&sums[quad + quads]),
        atomicLoad(&sums[quad + 2u * quads]),
        atomicLoad(&sums[quad + 3u * quads]),
    );
    let value = scale_pow2_4(vec4<f32>(sum) * scale.x, frame.e + i32(scale.y) - shift);
    return select(value, vec4<f32>(0.0), denominator.bound == 0u || frame.bound == 0u);
}

// Folds the batch of `chunks` chunks whose frames have been scanned.
fn fold_batch(share: Share, ahead: Ahead, d: u32, t: u32) {
    let entries = params.v_blocks + 1u;
    let places = SUMS / d;
    var most = 0u;
    for (var entry = 1u; entry < entries; entry++) {
        most = max(most, events[entry]);
    }
    for (var base = 0u; base == 0u || base < most; base += places - 1u) {
        for (var i = t; i < min(places - 1u, most - base) * d; i += THREADS) {
            atomicStore(&sums[d + i], 0);
        }
        workgroupBarrier();
        if share.first < share.end {
            add_share(share, ahead, entries, d / 4u, base, places);
        }
        workgroupBarrier();
        for (var j = t; j < d; j += THREADS) {
            let entry = block_of((j % (d / 4u)) * 4u, d) + 1u;
            fold_places(j, d, entry, entries, base, min(places - 1u, max(events[entry], base) - base));
        }
        workgroupBarrier();
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
#ifdef SUBGROUP
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_size) lanes: u32,
    @builtin(subgroup_invocation_id) lane: u32,
#else
    @builtin(local_invocation_index) t: u32,
#endif
) {
#ifdef SUBGROUP
    let t = subgroup * lanes + lane;
#endif
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let seen = slots_of(row);
    if seen.y == 0u {
        return;
    }
    let d = params.head_dim_v;
    let quads = d / 4u;
    let entries = params.v_blocks + 1u;
    let head_vectors = partial_head(params.v_blocks) / 4u;
    let stride = head_vectors + quads;
    let batch = FRAME_LIMIT / entries;
    let shares = THREADS / quads;
    for (var i = t; i < entries; i += THREADS) {
        states[i] = Frame(0, 0u);
    }
    for (var i = t; i < d; i += THREADS) {
        atomicStore(&sums[i], 0);
    }
    for (var first = 0u; first < seen.y; first += batch) {
        let chunks = min(batch, seen.y - first);
        let at = (row * params.slots + seen.x + first) * stride;
        let each = (chunks + shares - 1u) / shares;
        let from_chunk = min((t / quads) * each, chunks);
        let end = select(min(from_chunk + each, chunks), from_chunk, t / quads >= shares);
        let quad = t % quads;
        let share = Share(from_chunk, end, quad, block_of(4u * quad, d) + 1u, at + head_vectors + quad, stride);
        let ahead = read_ahead(share, from_chunk);
        workgroupBarrier();
        for (var i = t; i < chunks * entries; i += THREADS) {
            let words = partials[at + (i / entries) * stride + (i % entries) / 2u];
            frames[i] = select(words.xy, words.zw, (i % entries & 1u) != 0u);
        }
        workgroupBarrier();
#ifdef SUBGROUP
        for (var entry = subgroup; entry < entries; entry += subgroups) {
            scan_entry(states[entry], entry, entries, chunks, lane, lanes);
        }
#else
        for (var entry = t; entry < entries; entry += THREADS) {
            scan_entry(states[entry], entry, entries, chunks);
        }
#endif
        workgroupBarrier();
        fold_batch(share, ahead, d, t);
    }
    if t == 0u && params.sinks != 0u {
        states[0] = fold_denominator(states[0], sink_of(sinks[row % (params.kv_heads * params.group)]));
    }
    workgroupBarrier();
#ifdef SUBGROUP
    if lanes >= 32u {
        // Whole subgroups: lanes behind the head shuffle along.
        for (var quad = t; (quad & ~31u) < quads; quad += THREADS) {
            let own = min(quad, quads - 1u);
            let n = group_at(4u * own, d);
            let value = normalise_sums(own, d);
            let field = max_of_group(max_field4(value), n);
            let rotated = rotate_quads(normalise4(value, field), quad, n, SIGNS_2, SIGNS_1);
            if quad < quads {
                y[row * quads + quad] = scale_pow2_4(rotated * inverse_root(n), i32(field) - 127);
            }
        }
        return;
    }
#endif
    for (var quad = t; quad < quads; quad += THREADS) {
        let value = normalise_sums(quad, d);
        head[4u * quad] = value.x;
        head[4u * quad + 1u] = value.y;
        head[4u * quad + 2u] = value.z;
        head[4u * quad + 3u] = value.w;
    }
    workgroupBarrier();
    rotate_head(d, SIGNS_2, SIGNS_1, t);
    for (var quad = t; quad < quads; quad += THREADS) {
        let i = 4u * quad;
        let n = group_at(i, d);
        let rotated = vec4<f32>(head[i], head[i + 1u], head[i + 2u], head[i + 3u]);
        y[row * quads + quad] = scale_pow2_4(rotated * inverse_root(n), i32(field_at(i, n)) - 127);
    }
}
