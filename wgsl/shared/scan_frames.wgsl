// The frames of a row's chunks, folded in order: which shifts every chunk's sums get. docs/exact-attention.md, section 9.
//
// The state is shifted at few chunks only (*events*: a larger exponent, a full bound). Between two events the fold is a
// plain sum, in any order. So every chunk gets its shift and the number of events up to it, and every event the shift of
// the state.
// Words: SUBGROUP.

#import join_entry

// In: e, bound of a chunk's entry (l, e of entry 0, the denominator, of which only the state is of use). Out: x = shift of the part | events << 8,
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

#ifdef SUBGROUP
// The lowest lane where `x` holds, `lanes` if there is none.
fn lowest_lane(x: bool, lanes: u32) -> u32 {
    let holds = subgroupBallot(x);
    if holds.x != 0u {
        return firstTrailingBit(holds.x);
    }
    if lanes <= 32u {
        return lanes;
    }
    if holds.y != 0u {
        return 32u + firstTrailingBit(holds.y);
    }
    if holds.z != 0u {
        return 64u + firstTrailingBit(holds.z);
    }
    return select(lanes, 96u + firstTrailingBit(holds.w), holds.w != 0u);
}

// By one subgroup, all lanes of which call it: a chunk per lane, from event to event.
fn scan_entry(start: Frame, entry: u32, entries: u32, chunks: u32, lane: u32, lanes: u32) {
    // Bounds below this do not overflow when all lanes' are added.
    let small = 0xffffffffu / lanes;
    let extra = select(2u, 0u, entry == 0u);
    var state = start;
    state.e = select(state.e, EMPTY, state.bound == 0u);
    var count = 0u;
    for (var base = 0u; base < chunks; base += lanes) {
        let chunk = base + lane;
        let at = min(chunk, chunks - 1u) * entries + entry;
        let part = frame_of(frames[at], entry);
        let seen = chunk < chunks && part.bound != 0u;
        var word = GONE;
        for (var from_lane = 0u; from_lane < lanes; ) {
            let drop = u32(max(state.e - part.e, 0));
            let bound = select(0u, (part.bound >> min(drop, 31u)) + extra, seen);
            let event = seen && lane >= from_lane && (part.e > state.e || bound >= small);
            var stop = lowest_lane(event, lanes);
            var total = 0u;
            if stop != from_lane {
                let added = select(0u, bound, lane >= from_lane && lane < stop);
                let sum = subgroupInclusiveAdd(added);
                let room = FOLD_LIMIT - min(state.bound, FOLD_LIMIT);
                // The bound may be full before that.
                stop = min(stop, lowest_lane(added != 0u && sum > room, lanes));
                total = select(subgroupShuffle(sum, max(stop, 1u) - 1u), 0u, stop == 0u);
            }
            if lane >= from_lane && lane < stop {
                word = select(GONE, min(drop, GONE), seen) | (count << 8u);
            }
            state.bound += total;
            if stop < lanes {
                let next = Frame(subgroupShuffle(part.e, stop), subgroupShuffle(part.bound, stop));
                let join = join_entry(state, next, extra);
                state = join.frame;
                count += 1u;
                if lane == stop {
                    word = join.part | (count << 8u);
                    frames[(count - 1u) * entries + entry].y = join.state;
                }
            }
            from_lane = stop + 1u;
        }
        if chunk < chunks {
            frames[at].x = word;
        }
    }
    if lane == 0u {
        states[entry] = state;
        events[entry] = count;
    }
}
#else
// By one invocation.
fn scan_entry(start: Frame, entry: u32, entries: u32, chunks: u32) {
    let extra = select(2u, 0u, entry == 0u);
    var state = start;
    state.e = select(state.e, EMPTY, state.bound == 0u);
    var count = 0u;
    for (var chunk = 0u; chunk < chunks; chunk++) {
        let at = chunk * entries + entry;
        let join = join_entry(state, frame_of(frames[at], entry), extra);
        state = join.frame;
        if join.state != 0u {
            frames[count * entries + entry].y = join.state;
            count += 1u;
        }
        frames[at].x = join.part | (count << 8u);
    }
    states[entry] = state;
    events[entry] = count;
}
#endif
