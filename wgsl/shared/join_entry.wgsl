// Frames joined without branches: what the fold of many chunks waits for. Needs fold.

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
