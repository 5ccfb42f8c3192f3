//! The SIMD levels, and which of them this processor has.

/// A set of instructions that the kernels of a product use. All levels give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Plain Rust, on any processor.
    Plain,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// `Avx2` and AVX-VNNI: byte dot products of 256 bits.
    AvxVnni,
    /// AVX-512 F, BW, VL and VNNI: byte dot products of 512 bits.
    Avx512Vnni,
    /// Arm NEON (every aarch64 processor).
    Neon,
    /// `Neon` and the dot product instructions of Armv8.2.
    NeonDot,
}

impl Level {
    /// Every level of every processor.
    pub const ALL: [Self; 6] = [Self::Plain, Self::Avx2, Self::AvxVnni, Self::Avx512Vnni, Self::Neon, Self::NeonDot];

    /// The fastest level of this processor; found once.
    pub fn best() -> Self {
        static BEST: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| Self::ALL.into_iter().rev().find(|level| level.available()).unwrap_or(Self::Plain))
    }

    /// Whether this processor (and its operating system) can run the level.
    pub fn available(self) -> bool {
        if self == Self::Plain {
            return true;
        }
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("f16c");
            match self {
                Self::Avx2 => avx2,
                Self::AvxVnni => avx2 && has!("avxvnni"),
                Self::Avx512Vnni => {
                    avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni")
                }
                _ => false,
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as has;
            match self {
                Self::Neon => has!("neon"),
                Self::NeonDot => has!("neon") && has!("dotprod"),
                _ => false,
            }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        false
    }

    /// The name that `devices` and the benchmarks print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dotprod",
        }
    }
}
