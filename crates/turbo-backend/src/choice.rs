//! Choosing a token on the device: `wgsl/kernels/sampling`.

/// Most candidates that devices choose from.
pub const MAX_TOP_K: u32 = 256;

/// All of a whole, as a share in 1 / 2^32.
pub const WHOLE: u32 = u32::MAX;

/// Set in what stands for a chosen token.
const CHOSEN: u32 = 1 << 31;

/// What stands for the token that the device keeps at `place`, where tokens of a batch are named.
pub const fn chosen_at(place: u32) -> u32 {
    CHOSEN | place
}

/// The place that `token` stands for, if it is no token itself.
pub const fn place_of(token: u32) -> Option<u32> {
    if token & CHOSEN != 0 { Some(token & !CHOSEN) } else { None }
}

/// How the next token of a sequence is chosen: of its `top_k` largest logits those that `top_p` and `min_p` keep, one
/// by its share at `temperature`. Of equal logits the lower token comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Where the device keeps the token, below [`Chooser::places`](crate::Chooser::places); a later batch
    /// can take it from there ([`chosen_at`]).
    pub place: u32,
    /// Candidates, 1 to [`MAX_TOP_K`].
    pub top_k: u32,
    /// Divides the logits for the draw, more than 0. With `top_k` 1 it does not matter.
    pub temperature: f32,
    /// Keeps the largest candidates that together reach this probability (among the candidates); 1 keeps all.
    pub top_p: f32,
    /// Drops candidates less likely than this share of the most likely one; 0 keeps all.
    pub min_p: f32,
    /// The draw: 0 takes the most likely candidate, just below 1 the last one that is kept.
    pub unit: f64,
}

/// A [`Choice`] in whole numbers, as kernels take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChoiceWords {
    /// As in [`Choice`].
    pub place: u32,
    /// As in [`Choice`].
    pub top_k: u32,
    /// The draw as a share in 1 / 2^32.
    pub share: u32,
    /// The same of `top_p`; [`WHOLE`] keeps all.
    pub top_p: u32,
    /// Least weight that `min_p` allows where the best candidate has 2^23.
    pub min_weight: u32,
    /// Bits of log2(e) / temperature * 65536 in f32.
    pub scale: u32,
}

impl Choice {
    /// The same in whole numbers.
    pub fn words(&self) -> ChoiceWords {
        let share = |x: f64| (x.clamp(0.0, 1.0) * 4_294_967_296.0) as u32;
        let scale = std::f64::consts::LOG2_E / f64::from(self.temperature.max(f32::MIN_POSITIVE)) * 65536.0;
        ChoiceWords {
            place: self.place,
            top_k: self.top_k.clamp(1, MAX_TOP_K),
            share: share(self.unit),
            top_p: if self.top_p >= 1.0 { WHOLE } else { share(self.top_p.into()) },
            min_weight: (f64::from(self.min_p.clamp(0.0, 1.0)) * 8_388_608.0).ceil() as u32,
            scale: (scale.min(1e30) as f32).to_bits(),
        }
    }
}

impl ChoiceWords {
    /// In the order of the kernel's binding `choices`.
    pub fn in_order(&self) -> [u32; 8] {
        [self.place, self.top_k, self.share, self.top_p, self.min_weight, self.scale, 0, 0]
    }
}
