// Adding up sums of different frames in a fixed order; docs/exact-attention.md, section 9.

// Sums with no key in them have bound 0 (value sums) or l 0 (denominators).
struct Frame {
    e: i32,
    bound: u32,
}

// The frame of a state with a part added, and the right shifts that bring the values of both there.
struct Join {
    frame: Frame,
    state: u32,
    part: u32,
}

// Shifts of this and more give 0.
const GONE = 32u;
const FOLD_LIMIT = 1u << 30u;

fn join_frames(s: Frame, p: Frame) -> Join {
    if p.bound == 0u {
        return Join(s, 0u, GONE);
    }
    if s.bound == 0u {
        return Join(p, GONE, 0u);
    }
    let e = max(s.e, p.e);
    let ks = u32(e - s.e);
    let kp = u32(e - p.e);
    let bound = (s.bound >> min(ks, 31u)) + (p.bound >> min(kp, 31u)) + 2u;
    if bound <= FOLD_LIMIT {
        return Join(Frame(e, bound), ks, kp);
    }
    let halved = (s.bound >> min(ks + 1u, 31u)) + (p.bound >> min(kp + 1u, 31u)) + 2u;
    return Join(Frame(e + 1, halved), ks + 1u, kp + 1u);
}

// v / 2^k to the nearest, halves up.
fn shift_round(v: i32, k: u32) -> i32 {
    let half = i32((1u << (k & 31u)) >> 1u);
    return select((v + half) >> (k & 31u), 0, k > 30u);
}

fn fold_value(state: i32, part: i32, join: Join) -> i32 {
    return shift_round(state, join.state) + shift_round(part, join.part);
}

fn shift_round4(v: vec4<i32>, k: u32) -> vec4<i32> {
    let half = vec4<i32>(i32((1u << (k & 31u)) >> 1u));
    return select((v + half) >> vec4<u32>(k & 31u), vec4<i32>(0), k > 30u);
}

fn fold_value4(state: vec4<i32>, part: vec4<i32>, join: Join) -> vec4<i32> {
    return shift_round4(state, join.state) + shift_round4(part, join.part);
}

// Denominators, l in the place of the bound.
fn fold_denominator(s: Frame, p: Frame) -> Frame {
    if p.bound == 0u {
        return s;
    }
    if s.bound == 0u {
        return p;
    }
    let e = max(s.e, p.e);
    let ks = u32(e - s.e);
    let kp = u32(e - p.e);
    let l = (s.bound >> min(ks, 31u)) + (p.bound >> min(kp, 31u));
    if l <= FOLD_LIMIT {
        return Frame(e, l);
    }
    return Frame(e + 1, (s.bound >> min(ks + 1u, 31u)) + (p.bound >> min(kp + 1u, 31u)));
}
