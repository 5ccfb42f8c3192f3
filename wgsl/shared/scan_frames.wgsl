// The frames of a row's chunks, folded in order: which shifts every chunk's sums get. docs/exact-attention.md, section 9.
//
// The state is shifted at few chunks only (*events*: a larger exponent, a full bound). Between two events the fold is a
// plain sum, in any order. So every chunk gets its shift and the number of events up to it, and every event the shift of
// the state.
// Words: SUBGROUP.

// In: e, bound of a chunk's entry (l, e of entry 0, the denominator). Out: x = shift of the part | events << 8,
// y = shift of the state at event number `chunk`, counted from 0. Entry e of chunk c is at c * entries + e.
var<workgroup> frames: array<vec2<u32>, FRAMES>;
// State of the denominator (0) and of every scale block.
var<workgroup> states: array<Frame, MAX_ENTRIES>;
// Events of every entry in the batch.
var<workgroup> events: array<u32, MAX_ENTRIES>;

fn frame_of(words: vec2<u32>, entry: u32) -> Frame {
    if entry == 0u {
        return Frame(bitcast<i32>(words.y), words.x);
    }
    return Frame(bitcast<i32>(words.x), words.y);
}

// The state with a part added; of the denominator only the frame counts.
fn join_entry(state: Frame, part: Frame, entry: u32) -> Join {
    if entry == 0u {
        return Join(fold_denominator(state, part), 1u, 0u);
    }
    return join_frames(state, part);
}

#ifdef SUBGROUP
// By one subgroup, all lanes of which call it.
fn scan_entry(entry: u32, entries: u32, chunks: u32, lane: u32, lanes: u32) {
    // Bounds below this do not overflow when all lanes' are added.
    let small = 0xffffffffu / lanes;
    let extra = select(2u, 0u, entry == 0u);
    var state = states[entry];
    var count = 0u;
    for (var base = 0u; base < chunks; base += lanes) {
        let chunk = base + lane;
        let at = min(chunk, chunks - 1u) * entries + entry;
        var part = frame_of(frames[at], entry);
        if chunk >= chunks {
            part.bound = 0u;
        }
        var start = 0u;
        while start < lanes {
            let pending = lane >= start && part.bound != 0u;
            let drop = u32(max(state.e - part.e, 0));
            let bound = (part.bound >> min(drop, 31u)) + extra;
            let shifts = state.bound == 0u || part.e > state.e || bound >= small;
            let added = select(0u, bound, pending && !shifts);
            let sum = subgroupInclusiveAdd(added);
            let event = pending && (shifts || sum > FOLD_LIMIT - min(state.bound, FOLD_LIMIT));
            let stop = subgroupMin(select(lanes, lane, event));
            let before = lane >= start && lane < stop;
            if before && chunk < chunks {
                frames[at].x = select(GONE, min(drop, GONE), part.bound != 0u) | (count << 8u);
            }
            state.bound += subgroupMax(select(0u, sum, before));
            if stop < lanes {
                let next = Frame(subgroupShuffle(part.e, stop), subgroupShuffle(part.bound, stop));
                let join = join_entry(state, next, entry);
                state = join.frame;
                count += 1u;
                if lane == stop {
                    frames[at].x = min(join.part, GONE) | (count << 8u);
                    frames[(count - 1u) * entries + entry].y = join.state;
                }
            }
            start = stop + 1u;
        }
    }
    if lane == 0u {
        states[entry] = state;
        events[entry] = count;
    }
}
#else
// By one invocation.
fn scan_entry(entry: u32, entries: u32, chunks: u32) {
    var state = states[entry];
    var count = 0u;
    for (var chunk = 0u; chunk < chunks; chunk++) {
        let at = chunk * entries + entry;
        let join = join_entry(state, frame_of(frames[at], entry), entry);
        state = join.frame;
        if join.state != 0u && entry != 0u {
            frames[count * entries + entry].y = join.state;
            count += 1u;
        }
        frames[at].x = min(join.part, GONE) | (count << 8u);
    }
    states[entry] = state;
    events[entry] = count;
}
#endif
