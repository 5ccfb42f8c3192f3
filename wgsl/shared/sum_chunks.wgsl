// Sums of a row's chunks, folded by what scan_entry found; docs/exact-attention.md, section 9.
//
// Values between two events are added in any order: each of them has a place per event in workgroup memory.
// Words: THREADS.

const SUMS = 2048u;

// Sums of the values: place, component of a vector, vector. Place 0: the state.
var<workgroup> sums: array<atomic<i32>, SUMS>;

// What an invocation adds up: vector `quad` of the chunks `first` .. `end` of a batch.
struct Share {
    first: u32,
    end: u32,
    quad: u32,
    entry: u32,
    // The vector in the partial of the batch's first chunk, and vectors from one chunk to the next.
    at: u32,
    stride: u32,
}

fn add_to_place(place: u32, quad: u32, quads: u32, sum: vec4<i32>) {
    let at = place * quads * 4u + quad;
    atomicAdd(&sums[at], sum.x);
    atomicAdd(&sums[at + quads], sum.y);
    atomicAdd(&sums[at + 2u * quads], sum.z);
    atomicAdd(&sums[at + 3u * quads], sum.w);
}

// First vectors of the share, read while the frames are scanned.
alias Ahead = array<vec4<i32>, 4>;

fn read_ahead(share: Share, chunk: u32) -> Ahead {
    var parts: Ahead;
#repeat U 4
    if chunk + U < share.end {
        parts[U] = bitcast<vec4<i32>>(partials[share.at + (chunk + U) * share.stride]);
    }
#end
    return parts;
}

// Adds the share's values whose events are at most `places` - 1 after number `base`; those before are in the state.
fn add_share(share: Share, ahead: Ahead, entries: u32, quads: u32, base: u32, places: u32) {
    var parts = ahead;
    var place = 0u;
    var sum = vec4<i32>(0);
    for (var chunk = share.first; chunk < share.end; chunk += 4u) {
        if chunk != share.first {
            parts = read_ahead(share, chunk);
        }
#repeat U 4
        if chunk + U < share.end {
            let word = frames[(chunk + U) * entries + share.entry].x;
            let own = (word >> 8u) - base;
            if own < places && (own != 0u || base == 0u) {
                if own != place {
                    if any(sum != vec4<i32>(0)) {
                        add_to_place(place, share.quad, quads, sum);
                    }
                    sum = vec4<i32>(0);
                    place = own;
                }
                sum += shift_round4(parts[U], word & 0xffu);
            }
        }
#end
    }
    if any(sum != vec4<i32>(0)) {
        add_to_place(place, share.quad, quads, sum);
    }
}

// Folds the places of value j (in the order of `sums`) into the state; `count` events follow number `base`.
fn fold_places(j: u32, d: u32, entry: u32, entries: u32, base: u32, count: u32) {
    var state = atomicLoad(&sums[j]);
    for (var place = 1u; place <= count; place++) {
        let shift = frames[(base + place - 1u) * entries + entry].y;
        state = shift_round(state, shift) + atomicLoad(&sums[place * d + j]);
    }
    atomicStore(&sums[j], state);
}
