//! Inner loops of attention and the run-time choice of instructions.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bias;
pub(crate) mod body;
pub(crate) mod float;
mod unpack;

pub(crate) use bias::{BiasRow, BiasTile};
pub(crate) use body::{Keys, PowerKeys, ScaleKeys, ScoreRow, ScoreTile};
pub(crate) use float::LANES;
pub(crate) use unpack::Unpack;

use std::ops::Range;

use turbo_backend::BLOCK_TOKENS;
use turbo_backend::plan::RopeStyle;

use super::exact::fold::{Denominator, Frame, Shifts, fold_values};
use super::exact::tile::WeightWidth;

/// An instruction set that this processor has. Values come from [`Simd::best`] and [`Simd::all`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// Whatever the build target has; the compiler vectorises the plain loops.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Simd {
    /// Every instruction set of this processor with a path of its own, best first.
    pub fn all() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 && avx512 {
                sets.push(Self(Set::Avx512));
            }
            if avx2 {
                sets.push(Self(Set::Avx2));
            }
        }
        sets.push(Self(Set::Portable));
        sets
    }

    /// The fastest instruction set of this processor.
    pub fn best() -> Self {
        static BEST: std::sync::OnceLock<Simd> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| Self::all().first().copied().unwrap_or(Self(Set::Portable)))
    }

    /// Its name in traces and tables.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512-vnni",
        }
    }
}

/// Makes a method of [`Simd`] that calls the function of that name of the chosen set.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?, $portable:expr) => {
        impl Simd {
            $(#[$doc])*
            #[inline]
            #[allow(clippy::too_many_arguments, reason = "an inner loop takes what it works on")]
            pub(crate) fn $name(self, $($arg: $ty),*) $(-> $ret)? {
                match self.0 {
                    Set::Portable => $portable($($arg),*),
                    // SAFETY: a value of this set exists only where the processor has its features.
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx2 => unsafe { avx2::$name($($arg),*) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx512 => unsafe { avx512::$name($($arg),*) },
                }
            }
        }
    };
}

kernel!(
    /// Q16 scores of one query row over a K tile.
    scores(row: ScoreRow<'_>, tile: ScoreTile<'_>) -> Keys<i32>,
    |row, tile| body::scores(row, tile, body::dot)
);
kernel!(
    /// Adds the part of a key bias to the Q16 scores of one query row.
    add_bias(row: BiasRow<'_>, tile: BiasTile<'_>, scratch: &mut [f32], scores: &mut Keys<i32>),
    bias::add_bias::<{ BLOCK_TOKENS / 2 }>
);
kernel!(
    /// Adds its bias to a key in f32.
    turn_key(style: RopeStyle, turned: &[f32], cos: &[f32], sin: &[f32], key: &mut [f32]),
    bias::turn_key
);
kernel!(
    /// The 64 scales of one block of a unit, taken apart.
    scale_parts(words: &[u32], out: &mut ScaleKeys),
    body::scale_parts
);
kernel!(
    /// 2^score of the visible keys and their part of the denominator.
    powers(scores: &Keys<i32>, from: usize, to: usize) -> (PowerKeys, Denominator),
    body::powers
);
kernel!(
    /// Weights of the keys for one scale block of V.
    weights(powers: &PowerKeys, scales: &ScaleKeys, width: WeightWidth) -> (Keys<i16>, Frame),
    body::weights
);
kernel!(
    /// Weighted sums of levels of one scale block over pairs of keys.
    weigh(weights: &Keys<i16>, levels: &[i16], stride: usize, from: usize, to: usize, sums: &mut [i32]),
    body::weigh
);
kernel!(
    /// Adds shifted values.
    join(state: &mut [i32], part: &[i32], shifts: Shifts),
    body::join
);
kernel!(
    /// Levels of `keys` of a unit of index codes, to [key][head_dim].
    unpack(unpack: &Unpack, codes: &[u32], keys: &Range<usize>, out: &mut [i8]),
    unpack::portable
);
kernel!(
    /// Levels to the K tile's layout.
    quads(levels: &[i8], d: usize, out: &mut [u8]),
    body::quads
);
kernel!(
    /// Levels to the V tile's layout.
    pairs(levels: &[i8], d: usize, out: &mut [i16]),
    body::pairs
);
kernel!(
    /// f16 words to f32.
    widen(words: &[u32], out: &mut [f32]),
    float::widen
);
kernel!(
    /// Scaled dot products of an f32 query and f32 keys.
    dots(q: &[f32], keys: &[f32], scale: f32, from: usize, to: usize) -> Keys<f32>,
    float::dots
);
kernel!(
    /// Float softmax weights relative to a maximum, and their sum.
    probabilities(scores: &Keys<f32>, max: f32, from: usize, to: usize) -> (Keys<f32>, f32),
    float::probabilities
);
kernel!(
    /// Weighted sum of f32 values added to scaled sums.
    mix(p: &Keys<f32>, values: &[f32], factor: f32, from: usize, to: usize, sums: &mut [f32]),
    float::mix
);

impl Simd {
    /// Asks for words that are needed soon; only the speed depends on it.
    #[inline]
    pub(crate) fn prefetch(self, words: &[u32]) {
        #[cfg(target_arch = "x86_64")]
        for line in words.chunks(16) {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            // SAFETY: a prefetch of a valid address has no effect but on caches; SSE is part of x86-64.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = words;
    }

    /// Adds the values of a part to those of a state, as [`fold_values`] does.
    pub(crate) fn fold(self, state: &mut [i32], state_frame: &mut Frame, part: &[i32], part_frame: Frame) {
        if part_frame.is_empty() || state_frame.is_empty() {
            return fold_values(state, state_frame, part, part_frame);
        }
        let (frame, shifts) = state_frame.join(part_frame);
        self.join(state, part, shifts);
        *state_frame = frame;
    }
}
