//! What some CPUs do in one instruction: widening half precision, sixteen look-ups at once.
//!
//! The results are the same everywhere; only the speed differs.

use super::bits::{byte_mask, f16_bits, u16_at};

/// A set of instructions, chosen once per row.
pub(super) trait Cpu: Copy {
    /// Runs a loop compiled for this set of instructions.
    fn run<T>(self, work: impl FnOnce() -> T) -> T;

    /// Widens half precision.
    fn widen(self, half: u16) -> f32;

    /// `levels[index]` for each index; every index must be below 16.
    fn look_up(self, levels: &[i8; 16], indices: [u8; 16]) -> [i8; 16];

    /// Byte `j` is 0xff where bit `j` of `bits` is set, else 0.
    fn byte_mask(self, bits: u32) -> [u8; 32];

    /// The half-precision number at byte `at` of a block.
    #[inline(always)]
    fn f16_at(self, block: &[u8], at: usize) -> f32 {
        self.widen(u16_at(block, at))
    }

    /// The levels of the 16 low nibbles, then of the 16 high ones.
    #[inline(always)]
    fn nibbles(self, levels: &[i8; 16], packed: &[u8; 16], codes: &mut [i8; 32]) {
        let (mut low, mut high) = (*packed, *packed);
        for j in 0..16 {
            low[j] &= 0xf;
            high[j] >>= 4;
        }
        let (halves, _) = codes.as_chunks_mut::<16>();
        halves[0] = self.look_up(levels, low);
        halves[1] = self.look_up(levels, high);
    }
}

/// Works everywhere.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Cpu for Portable {
    #[inline(always)]
    fn run<T>(self, work: impl FnOnce() -> T) -> T {
        work()
    }

    #[inline(always)]
    fn byte_mask(self, bits: u32) -> [u8; 32] {
        bytemuck::cast(bits.to_le_bytes().map(|bits| byte_mask(bits).to_le_bytes()))
    }

    #[inline(always)]
    fn widen(self, half: u16) -> f32 {
        f16_bits(half)
    }

    #[inline(always)]
    fn look_up(self, levels: &[i8; 16], indices: [u8; 16]) -> [i8; 16] {
        let mut codes = [0; 16];
        for (code, index) in codes.iter_mut().zip(indices) {
            *code = levels[usize::from(index & 0xf)];
        }
        codes
    }
}

/// Proof that the CPU has AVX2 and what came with it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// The only way to get the proof.
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        use std::arch::is_x86_feature_detected as has;
        let found = has!("avx2") && has!("f16c") && has!("bmi1") && has!("bmi2") && has!("popcnt");
        found.then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Cpu for Avx2 {
    #[inline(always)]
    fn run<T>(self, work: impl FnOnce() -> T) -> T {
        #[target_feature(enable = "avx,avx2,f16c,bmi1,bmi2,popcnt")]
        fn with_features<T>(work: impl FnOnce() -> T) -> T {
            work()
        }
        // SAFETY: a value of this type exists only where all these features were detected.
        unsafe { with_features(work) }
    }

    #[inline(always)]
    fn byte_mask(self, bits: u32) -> [u8; 32] {
        use std::arch::x86_64::{
            _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setr_epi64x,
            _mm256_shuffle_epi8, _mm256_storeu_si256,
        };
        let mut masks = [0; 32];
        // SAFETY: the array is 32 bytes and unaligned access is allowed; a value of this type
        // exists only where AVX2 was detected.
        unsafe {
            // Eight copies of each byte, then one bit of each copy.
            let copies = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
            let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits as i32), copies);
            let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
            let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
            _mm256_storeu_si256(masks.as_mut_ptr().cast(), set);
        }
        masks
    }

    #[inline(always)]
    fn widen(self, half: u16) -> f32 {
        use std::arch::x86_64::{_mm_cvtph_ps, _mm_cvtsi32_si128, _mm_cvtss_f32};
        // SAFETY: a value of this type exists only where F16C was detected.
        unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(half)))) }
    }

    #[inline(always)]
    fn look_up(self, levels: &[i8; 16], indices: [u8; 16]) -> [i8; 16] {
        use std::arch::x86_64::{_mm_loadu_si128, _mm_shuffle_epi8, _mm_storeu_si128};
        let mut codes = [0; 16];
        // SAFETY: the arrays are 16 bytes each and unaligned access is allowed; a value of this
        // type exists only where AVX2, which includes the byte shuffle, was detected.
        unsafe {
            let levels = _mm_loadu_si128(levels.as_ptr().cast());
            let indices = _mm_loadu_si128(indices.as_ptr().cast());
            _mm_storeu_si128(codes.as_mut_ptr().cast(), _mm_shuffle_epi8(levels, indices));
        }
        codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_finds_the_same_levels() {
        let levels = std::array::from_fn(|i| (i as i8).wrapping_mul(17));
        let packed = std::array::from_fn(|i| (i * 37 + 11) as u8);
        let want: Vec<i8> = (packed.iter().map(|byte| byte & 0xf))
            .chain(packed.iter().map(|byte| byte >> 4))
            .map(|index| levels[usize::from(index)])
            .collect();
        let mut codes = [0; 32];
        Portable.nibbles(&levels, &packed, &mut codes);
        assert_eq!(codes.as_slice(), want);
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = Avx2::detect() {
            avx2.nibbles(&levels, &packed, &mut codes);
            assert_eq!(codes.as_slice(), want);
        }
    }

    #[test]
    fn every_way_spreads_the_same_bits() {
        for bits in [0, 1, 0x8000_0000, 0xdead_beef, 0x1234_5678, u32::MAX] {
            let want = std::array::from_fn(|j| if bits >> j & 1 == 1 { 0xff } else { 0 });
            assert_eq!(Portable.byte_mask(bits), want);
            #[cfg(target_arch = "x86_64")]
            if let Some(avx2) = Avx2::detect() {
                assert_eq!(avx2.byte_mask(bits), want);
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_half_widens_the_same() {
        let Some(avx2) = Avx2::detect() else { return };
        for half in 0..=u16::MAX {
            let (got, want) = (avx2.widen(half), Portable.widen(half));
            assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()));
        }
    }
}
