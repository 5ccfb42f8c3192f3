//! The two sign vectors of the rotation.
//!
//! The same 128 signs as the TurboQuant fork of llama.cpp and turboquant_plus use: NumPy's
//! `default_rng(42).choice([-1, 1], 128)` drawn twice. Smaller groups use the first n.

/// Signs applied before the Walsh-Hadamard transform: bit i%32 of word i/32 set means -1.
pub const S1: [u32; 4] = [0xe46a_0359, 0x42f8_5949, 0xa4c6_3bbb, 0x49f2_50a9];

/// Signs applied after the Walsh-Hadamard transform, packed like [`S1`].
pub const S2: [u32; 4] = [0x16ac_ee90, 0x3f62_8fdc, 0xb7a5_357a, 0xbea5_6562];

/// [`S1`] as one mask per value, to be xored into the bits of an f32.
pub const S1_MASKS: [u32; 128] = masks(S1);

/// [`S2`] as one mask per value, to be xored into the bits of an f32.
pub const S2_MASKS: [u32; 128] = masks(S2);

const fn masks(words: [u32; 4]) -> [u32; 128] {
    let mut out = [0; 128];
    let mut i = 0;
    while i < 128 {
        out[i] = ((words[i / 32] >> (i % 32)) & 1) << 31;
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NumPy's `SeedSequence(seed).generate_state(4, uint64)` for a seed below 2^32
    /// (numpy/random/bit_generator.pyx: pool of four words, O'Neill's seed_seq mixing).
    fn seed_sequence(seed: u32) -> [u64; 4] {
        let mut hash_const: u32 = 0x43b0_d7e5;
        let mut hash = |value: u32| {
            let mut v = value ^ hash_const;
            hash_const = hash_const.wrapping_mul(0x931e_8875);
            v = v.wrapping_mul(hash_const);
            v ^ (v >> 16)
        };
        let mix = |x: u32, y: u32| {
            let r = 0xca01_f9dd_u32.wrapping_mul(x).wrapping_sub(0x4973_f715_u32.wrapping_mul(y));
            r ^ (r >> 16)
        };
        let mut pool = [hash(seed), hash(0), hash(0), hash(0)];
        for source in 0..4 {
            for target in 0..4 {
                if source != target {
                    pool[target] = mix(pool[target], hash(pool[source]));
                }
            }
        }
        let mut state_const: u32 = 0x8b51_f9dd;
        let words: Vec<u32> = (0..8)
            .map(|i| {
                let mut v = pool[i % 4] ^ state_const;
                state_const = state_const.wrapping_mul(0x58f3_8ded);
                v = v.wrapping_mul(state_const);
                v ^ (v >> 16)
            })
            .collect();
        std::array::from_fn(|i| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32)
    }

    /// PCG64 XSL-RR 128/64, seeded as `numpy.random.default_rng(seed)`.
    struct Pcg64 {
        state: u128,
        increment: u128,
    }

    impl Pcg64 {
        fn new(seed: u32) -> Self {
            let words = seed_sequence(seed).map(u128::from);
            let increment = (words[2] << 64 | words[3]) << 1 | 1;
            let mut rng = Self { state: 0, increment };
            rng.step();
            rng.state = rng.state.wrapping_add(words[0] << 64 | words[1]);
            rng.step();
            rng
        }

        fn step(&mut self) {
            let multiplier = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645_u128;
            self.state = self.state.wrapping_mul(multiplier).wrapping_add(self.increment);
        }

        fn next(&mut self) -> u64 {
            self.step();
            let folded = (self.state >> 64) as u64 ^ self.state as u64;
            folded.rotate_right((self.state >> 122) as u32)
        }

        /// 128 signs: the top bit of successive 32-bit outputs, low half first; 1 means +1.
        fn signs(&mut self) -> [u32; 4] {
            let mut words = [0; 4];
            for i in 0..64 {
                let output = self.next();
                for (at, bit) in [(2 * i, output >> 31), (2 * i + 1, output >> 63)] {
                    words[at / 32] |= (bit as u32 & 1 ^ 1) << (at % 32);
                }
            }
            words
        }
    }

    #[test]
    fn signs_come_from_numpys_generator_with_seed_42() {
        let mut rng = Pcg64::new(42);
        assert_eq!(rng.signs().map(|w| format!("{w:08x}")), S1.map(|w| format!("{w:08x}")));
        assert_eq!(rng.signs(), S2);
        let ones = |words: [u32; 4]| words.iter().map(|w| w.count_ones()).sum::<u32>();
        assert_eq!((ones(S1), ones(S2)), (60, 70));
    }
}
