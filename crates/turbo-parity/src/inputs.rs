//! Inputs that find mistakes: ordinary values and every kind of edge.

/// A generator of test vectors; the same seed gives the same vectors everywhere.
#[derive(Clone, Debug)]
pub struct Inputs {
    state: u64,
}

impl Inputs {
    /// A generator for `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d }
    }

    /// 32 random bits (SplitMix64's upper half).
    pub const fn bits(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    /// A whole number below `n`.
    pub const fn below(&mut self, n: u32) -> u32 {
        ((self.bits() as u64 * n as u64) >> 32) as u32
    }

    /// Roughly normal, mean 0, variance 1: the sum of twelve uniform values.
    pub fn normal(&mut self) -> f32 {
        let sum: u32 = (0..12).map(|_| self.bits() >> 12).sum();
        (sum as f32 - 6.0 * 1_048_576.0) / 1_048_576.0
    }

    /// `n` ordinary values.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal()).collect()
    }

    /// `vectors` finite vectors of `n` values, one after the other, kinds mixed: ordinary, huge and tiny scales, wide
    /// range within a vector, zeros and -0, denormals, constant, one-hot, any finite bits.
    pub fn finite(&mut self, vectors: usize, n: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(vectors * n);
        for vector in 0..vectors {
            let kind = vector % 12;
            let constant = self.normal();
            let hot = self.below(n as u32) as usize;
            for i in 0..n {
                out.push(match kind {
                    0 => 0.0,
                    1 => {
                        if i % 2 == 0 {
                            -0.0
                        } else {
                            0.0
                        }
                    }
                    2 => self.normal() * 1e30,
                    3 => self.normal() * 1e-30,
                    4 => f32::from_bits(self.bits() & 0x807f_ffff),
                    5 => constant,
                    6 => {
                        if i == hot {
                            constant
                        } else {
                            0.0
                        }
                    }
                    7 => self.normal() * f32::from_bits((67 + self.below(120)) << 23),
                    8 => loop {
                        let x = f32::from_bits(self.bits());
                        if x.is_finite() {
                            break x;
                        }
                    },
                    9 => f32::MAX.copysign(self.normal()),
                    _ => self.normal(),
                });
            }
        }
        out
    }

    /// Like [`Inputs::finite`], with an inf or nan in every eighth vector.
    pub fn any(&mut self, vectors: usize, n: usize) -> Vec<f32> {
        let mut out = self.finite(vectors, n);
        for vector in out.chunks_mut(n).step_by(8) {
            let at = self.below(n as u32) as usize;
            vector[at] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN][self.below(3) as usize];
        }
        out
    }
}
