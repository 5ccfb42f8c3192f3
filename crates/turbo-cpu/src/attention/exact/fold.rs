//! Adding up tiles and chunks in a fixed order (`docs/exact-attention.md` section 9).

/// Denominator of a softmax: l * 2^(e - 23); l = 0 when empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denominator {
    /// Mantissa sum, at most 2^30.
    pub l: u32,
    /// Exponent.
    pub e: i32,
}

/// Exponent of a scale block's value sums and a limit on their size; bound 0 when empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Exponent.
    pub e: i32,
    /// No value is larger than this.
    pub bound: u32,
}

/// How two sets of values are brought into one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shifts {
    /// Right shift of the state's values.
    pub state: i32,
    /// Right shift of the part's values.
    pub part: i32,
}

/// Sums may reach this.
const LIMIT: u32 = 1 << 30;

impl Denominator {
    /// Of no key.
    pub const EMPTY: Self = Self { l: 0, e: 0 };

    /// The state with a part added.
    #[inline(always)]
    pub fn fold(self, part: Self) -> Self {
        if self.l == 0 {
            return part;
        }
        if part.l == 0 {
            return self;
        }
        let e = self.e.max(part.e);
        let sum = |e: i32| (self.l >> (e - self.e).min(31)) + (part.l >> (e - part.e).min(31));
        let l = sum(e);
        if l > LIMIT { Self { l: sum(e + 1), e: e + 1 } } else { Self { l, e } }
    }
}

impl Frame {
    /// Of no key.
    pub const EMPTY: Self = Self { e: 0, bound: 0 };

    /// Whether there is nothing in it.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.bound == 0
    }

    /// The frame of state + part, and the shifts to get there. Neither may be empty.
    #[inline(always)]
    pub fn join(self, part: Self) -> (Self, Shifts) {
        let e = self.e.max(part.e);
        let sum = |e: i32| shifted_bound(self.bound, e - self.e) + shifted_bound(part.bound, e - part.e);
        let bound = sum(e);
        let (e, bound) = if bound > LIMIT { (e + 1, sum(e + 1)) } else { (e, bound) };
        (Self { e, bound }, Shifts { state: e - self.e, part: e - part.e })
    }
}

#[inline(always)]
fn shifted_bound(bound: u32, k: i32) -> u32 {
    (bound >> k.min(31)) + 1
}

/// v / 2^k rounded to nearest, halves up; 0 for k > 30. |v| < 2^31 - 2^29.
#[inline(always)]
pub fn shift_round(v: i32, k: i32) -> i32 {
    match k {
        ..=0 => v,
        1..=30 => (v + (1 << (k - 1))) >> k,
        _ => 0,
    }
}

/// Adds the values of a part to those of a state, both of one scale block.
pub fn fold_values(state: &mut [i32], state_frame: &mut Frame, part: &[i32], part_frame: Frame) {
    if part_frame.is_empty() {
        return;
    }
    if state_frame.is_empty() {
        state.copy_from_slice(part);
        *state_frame = part_frame;
        return;
    }
    let (frame, shifts) = state_frame.join(part_frame);
    for (s, &p) in state.iter_mut().zip(part) {
        *s = shift_round(*s, shifts.state) + shift_round(p, shifts.part);
    }
    *state_frame = frame;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_over_the_longest_sequence() {
        for part_bound in [1_u32 << 24, 1 << 28] {
            let mut state = [0, 0];
            let mut frame = Frame::EMPTY;
            for i in 0..100_000 {
                let part = Frame { e: i % 3, bound: part_bound };
                let extreme = part_bound as i32;
                fold_values(&mut state, &mut frame, &[extreme, -extreme], part);
                assert!(state.iter().all(|v| v.unsigned_abs() <= frame.bound), "{state:?} {frame:?}");
                assert!(frame.bound <= LIMIT + 2, "{frame:?}");
            }
        }
    }

    #[test]
    fn folding_full_states_stays_in_range() {
        let mut state = vec![LIMIT as i32, -(LIMIT as i32)];
        let mut frame = Frame { e: 0, bound: LIMIT };
        for _ in 0..2048 {
            let part = state.clone();
            let part_frame = frame;
            fold_values(&mut state, &mut frame, &part, part_frame);
            assert!(frame.bound <= LIMIT + (1 << 13));
        }
        let mut den = Denominator { l: LIMIT, e: 0 };
        for _ in 0..100 {
            den = den.fold(den);
            assert!(den.l <= LIMIT);
        }
    }

    #[test]
    fn an_empty_side_gives_the_other() {
        let full = Denominator { l: 5, e: -3 };
        assert_eq!(full.fold(Denominator::EMPTY), full);
        assert_eq!(Denominator::EMPTY.fold(full), full);
        let far = Denominator { l: 1 << 30, e: i32::MAX / 4 };
        assert_eq!(far.fold(Denominator { l: 1 << 30, e: -(i32::MAX / 4) }), far);
        assert_eq!(shift_round(-3, 1), -1);
        assert_eq!(shift_round(3, 1), 2);
        assert_eq!(shift_round(1 << 30, 31), 0);
    }
}
