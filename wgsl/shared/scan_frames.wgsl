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

// No frame is below it.
const EMPTY = -0x40000000;

// join_frames and, with `extra` 0 in place of 2, fold_denominator, in few steps that wait for each other. The frame of
// an empty state is EMPTY; shifts are GONE at most.
fn join_entry(s: Frame, part: Frame, extra: u32) -> Join {
    let none = part.bound == 0u;
    let p = select(part.e, EMPTY, none);
    let both = s.bound != 0u && !none;
    let add = select(0u, extra, both);
    let e = max(s.e, p);
    let ks = min(u32(e - s.e), 31u);
    let kp = min(u32(e - p), 31u);
    let bound = (s.bound >> ks) + (part.bound >> kp) + add;
    let halved = (s.bound >> min(ks + 1u, 31u)) + (part.bound >> min(kp + 1u, 31u)) + add;
    let over = both && bound > FOLD_LIMIT;
    let more = select(0u, 1u, over);
    // Shifts of 31 and more give 0, as GONE does.
    return Join(Frame(e + i32(more), select(bound, halved, over)), ks + more, select(kp + more, GONE, none));
}

// Folds chunks `first` .. `end` in turn and returns the state; `count` is of the events so far.
fn scan_in_turn(start: Frame, count: ptr<function, u32>, entry: u32, entries: u32, first: u32, end: u32) -> Frame {
    let extra = select(2u, 0u, entry == 0u);
    var state = start;
    for (var chunk = first; chunk < end; chunk += 8u) {
        var parts: array<Frame, 8>;
#repeat U 8
        parts[U] = frame_of(frames[min(chunk + U, end - 1u) * entries + entry], entry);
#end
#repeat U 8
        if chunk + U < end {
            let join = join_entry(state, parts[U], extra);
            state = join.frame;
            if join.state != 0u && entry != 0u {
                frames[*count * entries + entry].y = join.state;
                *count += 1u;
            }
            frames[(chunk + U) * entries + entry].x = join.part | (*count << 8u);
        }
#end
    }
    return state;
}

#ifdef SUBGROUP
// By one subgroup, all lanes of which call it: a chunk per lane, at once where no event is among them, else in turn.
fn scan_entry(entry: u32, entries: u32, chunks: u32, lane: u32, lanes: u32) {
    // Bounds below this do not overflow when all lanes' are added.
    let small = 0xffffffffu / lanes;
    let extra = select(2u, 0u, entry == 0u);
    var state = states[entry];
    state.e = select(state.e, EMPTY, state.bound == 0u);
    var count = 0u;
    for (var base = 0u; base < chunks; base += lanes) {
        let chunk = base + lane;
        let at = min(chunk, chunks - 1u) * entries + entry;
        let part = frame_of(frames[at], entry);
        let seen = chunk < chunks && part.bound != 0u;
        let drop = u32(max(state.e - part.e, 0));
        let bound = (part.bound >> min(drop, 31u)) + extra;
        let event = seen && (state.bound == 0u || part.e > state.e || bound >= small);
        let total = subgroupAdd(select(0u, bound, seen && !event));
        if subgroupAny(event) || total > FOLD_LIMIT - min(state.bound, FOLD_LIMIT) {
            if lane == 0u {
                state = scan_in_turn(state, &count, entry, entries, base, min(base + lanes, chunks));
            }
            state = Frame(subgroupBroadcast(state.e, 0u), subgroupBroadcast(state.bound, 0u));
            count = subgroupBroadcast(count, 0u);
            continue;
        }
        state.bound += total;
        if chunk < chunks {
            frames[at].x = select(GONE, min(drop, GONE), seen) | (count << 8u);
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
    state.e = select(state.e, EMPTY, state.bound == 0u);
    var count = 0u;
    state = scan_in_turn(state, &count, entry, entries, 0u, chunks);
    states[entry] = state;
    events[entry] = count;
}
#endif
