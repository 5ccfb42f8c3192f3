//! Computes the Lloyd-Max levels of the turbo formats and rounds them to 8-bit integers.
//!
//! The results are stored as constants in [`super::tables`]; a test recomputes them from here.
//! Lloyd-Max: S. Lloyd, "Least squares quantization in PCM", 1982; J. Max, 1960. The laws of one
//! coordinate of a rotated unit vector: TurboQuant, arXiv 2504.19874, section 3.

/// The law of one coordinate of a rotated unit vector of n values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// N(0, 1/n), used for n >= 64.
    Gaussian {
        /// Number of values of the group.
        n: u32,
    },
    /// The exact marginal of the unit sphere in R^n, density proportional to (1-x^2)^((n-3)/2); n < 64.
    Sphere {
        /// Number of values of the group.
        n: u32,
    },
}

/// An optimal quantiser of a symmetric law: the positive half, ascending, negatives mirrored.
#[derive(Clone, Debug)]
pub struct LloydMax {
    /// Positive levels, 2^(bits-1) of them.
    pub levels: Vec<f64>,
    /// Positive thresholds between them, one fewer; zero is the threshold in the middle.
    pub thresholds: Vec<f64>,
    /// Mean squared error over variance.
    pub nmse: f64,
}

/// A quantiser whose levels are integers over one multiplier.
#[derive(Clone, Debug)]
pub struct IntegerLevels {
    /// A level of 1 stands for 1/multiplier of the group's norm.
    pub multiplier: u32,
    /// Positive levels, ascending.
    pub levels: Vec<i8>,
    /// f32 nearest n * t^2 for each threshold t = (midpoint of neighbouring levels) / multiplier.
    pub t2: Vec<f32>,
    /// The integer nearest log2(multiplier).
    pub shift: i32,
    /// Mean squared error over variance, before the norm is corrected.
    pub nmse: f64,
}

impl Law {
    /// The law used for groups of n values.
    pub const fn of_group(n: u32) -> Self {
        if n >= 64 { Self::Gaussian { n } } else { Self::Sphere { n } }
    }

    /// Density up to a constant factor.
    pub fn density(self, x: f64) -> f64 {
        match self {
            Self::Gaussian { n } => (-0.5 * f64::from(n) * x * x).exp(),
            Self::Sphere { n } => (1.0 - x * x).max(0.0).powf(0.5 * (f64::from(n) - 3.0)),
        }
    }

    /// Where the density ends, or is below 1e-31 of its peak.
    pub fn edge(self) -> f64 {
        match self {
            Self::Gaussian { n } => 12.0 / f64::from(n).sqrt(),
            Self::Sphere { .. } => 1.0,
        }
    }

    /// Integral of x^power times the density over [from, to].
    pub fn moment(self, power: i32, from: f64, to: f64) -> f64 {
        integrate(from, to, |x| x.powi(power) * self.density(x))
    }

    /// The mean of the law within [from, to].
    pub fn mean(self, from: f64, to: f64) -> f64 {
        self.moment(1, from, to) / self.moment(0, from, to)
    }

    /// Mean squared error over variance of a symmetric quantiser.
    pub fn nmse(self, levels: &[f64], thresholds: &[f64]) -> f64 {
        let error: f64 = cells(self, thresholds)
            .zip(levels)
            .map(|((from, to), &level)| integrate(from, to, |x| (x - level) * (x - level) * self.density(x)))
            .sum();
        error / self.moment(2, 0.0, self.edge())
    }
}

/// The positive cells between thresholds.
fn cells(law: Law, thresholds: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    let starts = std::iter::once(0.0).chain(thresholds.iter().copied());
    starts.zip(thresholds.iter().copied().chain(std::iter::once(law.edge())))
}

/// Composite 8-point Gauss-Legendre over 16 panels.
fn integrate(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    const NODES: [(f64, f64); 4] = [
        (0.183_434_642_495_649_8, 0.362_683_783_378_362),
        (0.525_532_409_916_329, 0.313_706_645_877_887_3),
        (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
        (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
    ];
    const PANELS: u32 = 16;
    let half = (to - from) / f64::from(2 * PANELS);
    let panel = |p: u32| {
        let middle = from + half * f64::from(2 * p + 1);
        let node = |&(x, w): &(f64, f64)| w * (f(middle - half * x) + f(middle + half * x));
        NODES.iter().map(node).sum::<f64>()
    };
    half * (0..PANELS).map(panel).sum::<f64>()
}

fn midpoints(levels: &[f64]) -> Vec<f64> {
    levels.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect()
}

/// The Lloyd-Max quantiser of `law` with 2^bits levels (`bits` >= 1), iterated until it stands still.
pub fn lloyd_max(bits: u32, law: Law) -> LloydMax {
    let half = 1_u32 << (bits - 1);
    let sigma = (law.moment(2, 0.0, law.edge()) / law.moment(0, 0.0, law.edge())).sqrt();
    let mut levels: Vec<f64> = (0..half).map(|k| 2.5 * sigma * (f64::from(k) + 0.5) / f64::from(half)).collect();
    for _ in 0..20_000 {
        let next: Vec<f64> = cells(law, &midpoints(&levels)).map(|(from, to)| law.mean(from, to)).collect();
        let moved = next.iter().zip(&levels).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        levels = next;
        if moved < 1e-16 {
            break;
        }
    }
    let thresholds = midpoints(&levels);
    let nmse = law.nmse(&levels, &thresholds);
    LloydMax { levels, thresholds, nmse }
}

/// Rounds the Lloyd-Max levels of groups of n values to integers of at most 127 over one integer multiplier.
///
/// Of all multipliers that put the largest level in 64..=127 the one with the least error is taken.
pub fn integer_levels(bits: u32, n: u32) -> IntegerLevels {
    let law = Law::of_group(n);
    let exact = lloyd_max(bits, law);
    let largest = exact.levels.last().copied().unwrap_or(1.0);
    let candidates = (64.0 / largest).ceil() as u32..=(127.499 / largest).floor() as u32;
    let rounded = candidates.map(|multiplier| {
        let unit = 1.0 / f64::from(multiplier);
        let levels: Vec<f64> = exact.levels.iter().map(|level| (level / unit).round() * unit).collect();
        (law.nmse(&levels, &midpoints(&levels)), multiplier)
    });
    let best = rounded.min_by(|a, b| a.0.total_cmp(&b.0));
    let (nmse, multiplier) = best.unwrap_or((exact.nmse, 1));
    let levels: Vec<i8> = exact.levels.iter().map(|level| (level * f64::from(multiplier)).round() as i8).collect();
    let twice_unit = 2.0 * f64::from(multiplier);
    let t2 = levels.windows(2).map(|pair| {
        let sum = f64::from(i32::from(pair[0]) + i32::from(pair[1]));
        (f64::from(n) * (sum * sum) / (twice_unit * twice_unit)) as f32
    });
    let shift = f64::from(multiplier).log2().round() as i32;
    IntegerLevels { multiplier, t2: t2.collect(), levels, shift, nmse }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turbo::tables::table;

    const SIZES: [u32; 4] = [128, 64, 32, 16];

    fn each(mut check: impl FnMut(u32, u32)) {
        for n in SIZES {
            for bits in [2, 3, 4] {
                check(bits, n);
            }
        }
    }

    #[test]
    fn the_stored_tables_are_the_computed_ones() {
        each(|bits, n| {
            let computed = integer_levels(bits, n);
            let stored = table(bits, n as usize);
            assert_eq!((stored.bits, stored.n), (bits, n));
            assert_eq!(stored.multiplier, computed.multiplier, "multiplier of {bits} bits, n {n}");
            assert_eq!(stored.shift, computed.shift, "shift of {bits} bits, n {n}");
            assert_eq!(stored.half[..stored.positive()], computed.levels, "{bits} bits, n {n}");
            assert_eq!(stored.thresholds(), computed.t2, "thresholds of {bits} bits, n {n}");
            let codes = &stored.levels[..1 << bits];
            assert!(codes.is_sorted_by(|a, b| a < b), "codes ascend");
            assert!(codes.iter().zip(codes.iter().rev()).all(|(a, b)| *a == -*b), "symmetric");
        });
    }

    #[test]
    fn rounding_to_integers_costs_less_than_half_a_percent() {
        each(|bits, n| {
            let exact = lloyd_max(bits, Law::of_group(n)).nmse;
            let rounded = integer_levels(bits, n).nmse;
            assert!(rounded >= exact * (1.0 - 1e-12), "Lloyd-Max is the optimum");
            assert!(rounded < exact * 1.005, "{bits} bits, n {n}: {rounded} for {exact}");
        });
    }

    #[test]
    fn the_levels_meet_the_lloyd_max_conditions() {
        each(|bits, n| {
            let law = Law::of_group(n);
            let q = lloyd_max(bits, law);
            for ((from, to), level) in cells(law, &q.thresholds).zip(&q.levels) {
                assert!((law.mean(from, to) - level).abs() < 1e-13, "a level is its cell's mean");
            }
            assert_eq!(q.thresholds, midpoints(&q.levels));
        });
    }

    #[test]
    fn the_moments_equal_the_closed_forms() {
        for n in SIZES {
            let law = Law::of_group(n);
            let variance = law.moment(2, 0.0, law.edge()) / law.moment(0, 0.0, law.edge());
            assert!((variance * f64::from(n) - 1.0).abs() < 1e-13, "both laws have variance 1/n");
        }
        let gauss = Law::Gaussian { n: 64 };
        let first = gauss.moment(1, 0.05, 0.3);
        let closed = (gauss.density(0.05) - gauss.density(0.3)) / 64.0;
        assert!((first / closed - 1.0).abs() < 1e-13);
        let sphere = Law::Sphere { n: 16 };
        let first = sphere.moment(1, 0.1, 0.7);
        let end = |x: f64| (1.0 - x * x).powf(7.5) / 15.0;
        assert!((first / (end(0.1) - end(0.7)) - 1.0).abs() < 1e-13);
    }

    #[test]
    fn levels_for_128_are_the_published_ones() {
        let near = |bits, want: &[f64], nmse: f64| {
            let got = lloyd_max(bits, Law::of_group(128));
            assert!(got.levels.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
            assert!((got.nmse - nmse).abs() < 5e-5, "{bits} bits: {}", got.nmse);
        };
        near(2, &[0.040_020, 0.133_503], 0.1175);
        near(3, &[0.021_663, 0.066_822, 0.118_786, 0.190_207], 0.0345);
        let four = [0.011_349, 0.034_299, 0.058_050, 0.083_292, 0.111_036, 0.143_016, 0.182_877, 0.241_529];
        near(4, &four, 0.0095);
    }
}
